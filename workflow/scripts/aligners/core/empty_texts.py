"""Which texts count as empty."""

import unicodedata


def is_empty(text: str) -> bool:
    """Return whether a text has no letter, number or symbol, such as "..." or a zero-width space.

    An emoji is a symbol.
    """
    return not any(unicodedata.category(character)[0] in "LNS" for character in text)
