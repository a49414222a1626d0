"""Assign the questions of a criterion to train, validation and test."""

from pathlib import Path

from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import read_rows
from aligners.synthesis.own_data import distinct_questions
from aligners.synthesis.sides import SPLITS
from aligners.synthesis.split import require_every_side
from aligners.synthesis.split import split_questions as assign


def main(
    *,
    questions: list[Path],
    earlier: list[Path],
    synthesis: str,
    shares: tuple[float, float, float],
    output: Path,
) -> None:
    """Write the split to `output`; counts and dropped rows beside it.

    `questions` are the files of the criterion: questions of the teacher, and its own data.
    `earlier` are the split files of the criteria before this one. `shares` are the shares of
    train, validation and test.
    """
    settings = load_recipe(SynthesisRecipe, synthesis).split
    near = settings.near_duplicates
    fields = ("id", "question", "group", "split")
    known = [row for path in earlier for row in read_rows(path, needs=fields)]
    rows = distinct_questions(questions)
    share_of = dict(zip(SPLITS, shares, strict=True))
    assigned = assign(known, rows, share_of, near.shingle, near.similarity, settings.by_ending)
    write_filtered(require_every_side(assigned, questions), output, len(rows))


if __name__ == "__main__":
    run(main)
