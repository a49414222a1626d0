"""Sample held-out synthetic questions of every criterion as test inputs."""

from pathlib import Path

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import iterate_rows
from aligners.evaluation.test_inputs import sample_held_out

SPLIT_FIELDS = ("id", "question", "split")


def main(
    *,
    dataset: str,
    criteria: list[str],
    splits: list[Path],
    synthesis: str,
    rows: int,
    seed: int,
    output: Path,
) -> None:
    """Write `rows` held-out questions of each criterion to `output`; dropped rows beside it.

    `splits` are the split files of the criteria, in the same order.
    """
    language = load_recipe(SynthesisRecipe, synthesis).cleaning.language
    held_out = {
        criterion: [row for row in iterate_rows(path, needs=SPLIT_FIELDS) if row["split"] == "test"]
        for criterion, path in zip(criteria, splits, strict=True)
    }
    languages = {name: load_recipe(CriterionRecipe, name).languages for name in criteria}
    sample = sample_held_out(dataset, held_out, language, languages, rows, seed)
    write_filtered(sample, output)


if __name__ == "__main__":
    run(main)
