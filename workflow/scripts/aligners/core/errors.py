"""The exception for mistakes that the user can fix."""


class UserError(Exception):
    """A mistake in a file, a key or the environment that the user can fix.

    The message names the file and the line or key, what is wrong, and what to do.
    Programs print only the message, without a traceback.
    """
