"""Training code that aligners and inspectors share."""
