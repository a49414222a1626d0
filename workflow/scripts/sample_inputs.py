"""Sample held-out synthetic questions of every criterion as test inputs."""

from pathlib import Path

from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import iterate_rows
from aligners.evaluation.test_inputs import sample_held_out
from aligners.synthesis.sides import with_sides


def main(
    *,
    dataset: str,
    questions: list[Path],
    splits: list[Path],
    synthesis: str,
    rows: int,
    seed: int,
    output: Path,
) -> None:
    """Write `rows` held-out questions of each criterion to `output`; dropped rows beside it.

    `questions` and `splits` are the files of the criteria, in the same order.
    """
    language = load_recipe(SynthesisRecipe, synthesis).cleaning.language
    held_out = []
    for questions_path, split_path in zip(questions, splits, strict=True):
        asked = iterate_rows(questions_path, needs=("id", "question", "criterion"))
        held_out.append([row for row, side in with_sides(asked, split_path) if side == "test"])
    write_filtered(sample_held_out(dataset, held_out, language, rows, seed), output)


if __name__ == "__main__":
    run(main)
