"""The training that aligners and inspectors have in common."""
