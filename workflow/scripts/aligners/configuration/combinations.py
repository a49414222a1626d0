"""The combinations of names, in an order on which results depend: that of rows and of tests."""

from collections.abc import Mapping, Sequence
from itertools import product


def combinations(fields: Sequence[str], names: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return all combinations of the names of some fields; the last field varies fastest.

    Args:
        fields: such as those of a path (`ResultPath.fields`).
        names: the names of each field, and perhaps of others.
    """
    choices = product(*(names[field] for field in fields))
    return [dict(zip(fields, chosen, strict=True)) for chosen in choices]
