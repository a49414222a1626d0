"""The one exception for what a user can cause and mend."""


class UserError(Exception):
    """A mistake in a file, a key or the environment that the user can mend.

    The message names the file and the line or key, says what is wrong, and what to do.
    Programs print it alone, without a traceback.
    """
