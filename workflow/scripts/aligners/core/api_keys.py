"""API keys that are sent to a server: read from environment variables, and in no message."""

import os

from aligners.core.errors import UserError


def read_api_key(variable: str, place: str) -> str:
    """Return the API key in an environment variable.

    Args:
        variable: its name.
        place: the endpoint or option that needs the key, for messages.

    Raises:
        UserError: the variable is not set, or its value cannot be sent in a header.
    """
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"{place}: the API key is missing; set the environment variable {variable!r}, or name "
            "another one"
        )
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"{place}: the API key has a character that HTTP cannot send; correct the environment "
            f"variable {variable!r}"
        )
    return key
