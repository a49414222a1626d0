"""First sentences, where the paper's code ended texts. They are only for the paper's reproduction.

Both rules also end a text within "3.14" and "e.g.".
"""

import re

# Several full stops in a row are a different token than a single one.
END_OF_CORRECTION = re.compile(r"(?<!\.)\.(?!\.)")
END_OF_RESPONSE = re.compile(r"[.!]+")


def first_of_correction(text: str) -> str:
    """Return a correction up to its first full stop, or all of it if there is none.

    The paper's aligners stopped at the token ".". A full stop next to a quotation mark or a bracket
    is this token in some tokenizers only; here it always ends the text.
    """
    return up_to(END_OF_CORRECTION, text)


def first_of_response(text: str) -> str:
    """Return a response up to its first full stop or exclamation mark, or all of it.

    The paper's LLMs had stop strings for these two. Their third stop string is a backslash before a
    question mark, so a question mark alone did not end a response.
    """
    return up_to(END_OF_RESPONSE, text)


def up_to(end: re.Pattern[str], text: str) -> str:
    """Return a text up to the first match of a pattern, with the match."""
    found = end.search(text)
    return text[: found.end()] if found else text
