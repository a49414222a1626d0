"""The HTTP server of a squad."""
