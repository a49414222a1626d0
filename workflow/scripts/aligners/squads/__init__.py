"""Squads as artifacts: a directory with all that a squad needs, and the class that loads it."""
