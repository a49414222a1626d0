"""Licences of the sources of rows: which of them forbid commercial use."""

import re
from collections.abc import Iterable

# "CC BY-NC 4.0", "cc-by-nc-sa-3.0", "non-commercial"; "NC" is not part of a word.
NON_COMMERCIAL = re.compile(r"(?<![a-z])nc(?![a-z])|non-?\s?commercial", re.IGNORECASE)


def forbids_commerce(license: str) -> bool:
    """Return whether a licence allows non-commercial use only, as far as its name tells."""
    return bool(NON_COMMERCIAL.search(license))


def non_commercial(licenses: Iterable[str]) -> list[str]:
    """Return the licences that allow non-commercial use only, sorted."""
    return sorted(filter(forbids_commerce, set(licenses)))
