"""The sides of the split: which questions are for training, validation and test."""

import sys
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path

from aligners.core.errors import UserError
from aligners.core.rows import Row, iterate_rows

# The sides of the split, and the files of a training set.
SPLITS = ("train", "validation", "test")


def read_sides(split: Path) -> dict[str, str]:
    """Return the side of each question in the file of a split, by id."""
    rows = iterate_rows(split, needs=("id", "split"))
    # Interned, a million sides take three texts.
    return {row["id"]: sys.intern(row["split"]) for row in rows}


def with_sides(rows: Iterable[Row], split: Path) -> Iterator[tuple[Row, str | None]]:
    """Yield each row with the side of its question; None if the split dropped the question.

    The rows are in the order of the questions, as those of the split are. So the split is read
    along with them, and only its dropped questions are in memory.

    Args:
        rows: with the ids of questions.
        split: the file of the split; the dropped questions are in a file beside it.

    Raises:
        UserError: the split does not have a question, or has another order.
    """
    beside = iterate_rows(split.with_suffix(".dropped.jsonl"), needs=("id", "reason"))
    dropped = {row["id"] for row in beside}
    assigned = iterate_rows(split, needs=("id", "split"))
    for row in rows:
        if row["id"] in dropped:
            yield row, None
            continue
        side = next((other["split"] for other in assigned if other["id"] == row["id"]), None)
        if side is None:
            raise missing_question(split, row["id"])
        yield row, side
    deque(assigned, maxlen=0)  # The other rows are checked too.


def missing_question(split: Path, question: str) -> UserError:
    """Return the error of a split that does not have the question with this id."""
    return UserError(
        f"{split}: no row has the id {question!r} in the order of the questions, so the split is "
        "not complete, or is not of these questions; delete the file and run again"
    )
