"""Judges: they decide which of two texts answers a question better."""
