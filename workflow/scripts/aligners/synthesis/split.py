"""Split of questions into train, validation and test, shared by all criteria and stages.

Near-duplicates from all criteria form a group, and all questions of a group are on one side of the
split. Criteria are split in the order of the configuration, and a group keeps the side of its first
question. So a new criterion at the end does not change the split of the others.
"""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.rows import Row, row_id
from aligners.synthesis.near_duplicates import NearDuplicates
from aligners.synthesis.sides import SPLITS


def choose_side(key: str, shares: Mapping[str, float]) -> str:
    """Return the side of a group, chosen by the hash of its key. The shares add up to 1."""
    position = int(row_id("split", key), 16) / 16**16  # in [0, 1)
    for side in SPLITS:
        position -= shares[side]
        if position < 0:
            return side
    return SPLITS[-1]


def split_questions(
    earlier: Iterable[Row],
    questions: Iterable[Row],
    shares: Mapping[str, float],
    shingle: int,
    similarity: float,
) -> Iterator[Filtered]:
    """Assign the questions of one criterion to sides, given the rows of the earlier criteria.

    If a question has near-duplicates on different sides, it is dropped: on any side, it would be
    similar to a question of another side.
    """
    near = NearDuplicates(shingle, similarity)
    assigned: dict[str, Row] = {}
    for row in earlier:
        if row["id"] not in assigned:
            near.find_and_add(row["id"], row["question"], keep_if_found=True)
            assigned[row["id"]] = row
    for question in questions:
        row = {"id": question["id"], "question": question["question"]}
        known = assigned.get(row["id"])
        if known:
            yield {**row, "group": known["group"], "split": known["split"]}, None
            continue
        found = [assigned[key] for key in near.find_and_add(row["id"], row["question"], True)]
        group = found[0]["group"] if found else row["id"]
        side = found[0]["split"] if found else choose_side(row["id"], shares)
        row |= {"group": group, "split": side}
        if len({other["split"] for other in found}) > 1:
            near.remove(row["id"])
            yield row, "near_several_splits"
        else:
            assigned[row["id"]] = row
            yield row, None


def require_every_side(rows: Iterable[Filtered], questions: Path) -> Iterator[Filtered]:
    """Yield the rows of a split, and check that each side has one.

    Args:
        rows: of `split_questions`.
        questions: the file of the questions, for the message.

    Raises:
        UserError: a side has no row.
    """
    sizes = dict.fromkeys(SPLITS, 0)
    for row, reason in rows:
        sizes[row["split"]] += reason is None
        yield row, reason
    if empty := [side for side in SPLITS if not sizes[side]]:
        found = ", ".join(f"{size} {side}" for side, size in sizes.items())
        raise UserError(
            f"{questions}: no question is left for {' and '.join(empty)} ({found}); raise "
            "questions_per_criterion, or the share of this side under split"
        )
