"""The similarity of two texts by its definition."""


def jaccard(first: set[str], second: set[str]) -> float:
    """Return the size of the intersection over the size of the union, in [0, 1]."""
    return len(first & second) / len(first | second)
