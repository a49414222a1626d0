"""Errors of a squad in use."""

AFFECTS_RESULTS = False


class WaitedTooLong(Exception):
    """A row waited so long for a squad that no aligner begins with it."""
