"""Pairs that a criterion brings, in place of those that a teacher writes."""

from collections.abc import Iterable, Iterator

from aligners.core.counts import Filtered
from aligners.core.rows import Row, row_id


def own_pairs(criterion: str, rows: Iterable[Row]) -> Iterator[Filtered]:
    """Yield each row as a pair, with the reason to drop it or None.

    Args:
        criterion: of the pairs.
        rows: with question, response, critique and aligned_response. Other fields are kept.

    Yields:
        Pairs whose id is that of their question. A second pair of a question is dropped
        (`duplicate`), and so is a pair with a text that is empty (`empty`).
    """
    seen: set[str] = set()
    for row in rows:
        texts = [row["question"], row["response"], row["aligned_response"]]
        key = row_id(row["question"])
        pair = {**row, "id": key, "criterion": criterion}
        if not all(text.strip() for text in texts):
            yield pair, "empty"
        elif key in seen:
            yield pair, "duplicate"
        else:
            seen.add(key)
            yield pair, None
