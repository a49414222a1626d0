"""Split of questions into train, validation and test, shared by all criteria and stages.

Near-duplicates from all criteria form a group, and all questions of a group are on one side of the
split. Criteria are split in the order of the configuration, and a group keeps the side of its first
question. So a new criterion at the end does not change the split of the others.

Questions of templates end in the same few sentences. If such questions are on several sides, a
model can answer test questions by a sentence that it has seen. So a recipe can keep all questions
that end in the same sentence on one side.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.progress import track
from aligners.core.rows import Row, row_id
from aligners.synthesis.near_duplicates import NearDuplicates, ShingledTexts
from aligners.synthesis.sides import SPLITS


def choose_side(key: str, shares: Mapping[str, float]) -> str:
    """Return the side of a group, chosen by the hash of its key. The shares add up to 1."""
    position = int(row_id("split", key), 16) / 16**16  # in [0, 1)
    for side in SPLITS:
        position -= shares[side]
        if position < 0:
            return side
    return SPLITS[-1]


def last_sentence(question: str) -> str:
    """Return the words of the last sentence of a question, in lower case."""
    words = (re.findall(r"\w+", part.lower()) for part in re.split(r"[.!?\n]+", question))
    return " ".join(next((found for found in reversed(list(words)) if found), []))


class AssignedQuestions:
    """The questions that have a side, by id, with an index of each side."""

    def __init__(self, texts: ShingledTexts):
        """Create it without questions. `texts` are those of all questions that may be added."""
        self.by_id: dict[str, Row] = {}
        self.by_number: dict[int, Row] = {}
        self.sides = {side: NearDuplicates(texts) for side in SPLITS}

    def add(self, number: int, row: Row) -> None:
        """Add the row with the text `number`."""
        self.by_id[row["id"]] = self.by_number[number] = row
        self.sides[row["split"]].add(number)

    def similar(self, number: int) -> list[Row]:
        """Return from each side the oldest row that is similar to the text `number`, by age."""
        found = [side.first(number) for side in self.sides.values()]
        return [self.by_number[first] for first in sorted(n for n in found if n is not None)]


def split_questions(
    earlier: Iterable[Row],
    questions: Iterable[Row],
    shares: Mapping[str, float],
    shingle: int,
    similarity: float,
    by_ending: bool = False,
) -> Iterator[Filtered]:
    """Assign the questions of one criterion to sides, given the rows of the earlier criteria.

    If a question has near-duplicates on different sides, it is dropped: on any side, it would be
    similar to a question of another side. With `by_ending`, the last sentence of a question decides
    its side, and a question with a near-duplicate on another side is dropped.
    """
    earlier, questions = list(earlier), list(questions)
    texts = [row["question"] for row in [*earlier, *questions]]
    assigned = AssignedQuestions(ShingledTexts(texts, shingle, similarity))
    for number, row in enumerate(earlier):
        if row["id"] not in assigned.by_id:
            assigned.add(number, row)
    progress = track(questions, len(questions), "split of questions")
    for number, question in enumerate(progress, start=len(earlier)):
        row = {"id": question["id"], "question": question["question"]}
        known = assigned.by_id.get(row["id"])
        if known:
            yield {**row, "group": known["group"], "split": known["split"]}, None
            continue
        found = assigned.similar(number)
        group = found[0]["group"] if found else row["id"]
        sides = {other["split"] for other in found}
        if by_ending:
            sides.add(choose_side(last_sentence(row["question"]), shares))
        side = min(sides, key=SPLITS.index) if sides else choose_side(row["id"], shares)
        row |= {"group": group, "split": side}
        if len(sides) > 1:
            yield row, "near_several_splits"
        else:
            assigned.add(number, row)
            yield row, None


def require_every_side(rows: Iterable[Filtered], questions: Sequence[Path]) -> Iterator[Filtered]:
    """Yield the rows of a split, and check that each side has one.

    Args:
        rows: of `split_questions`.
        questions: the files of the questions, for the message.

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
            f"{', '.join(map(str, questions))}: no question is left for {' and '.join(empty)} "
            f"({found}); raise questions_per_criterion, bring more data, or raise the share of "
            "this side under split"
        )
