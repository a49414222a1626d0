"""Drop the labelled rows of a criterion that are unsuitable for training, each with a reason."""

from pathlib import Path

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import row_id
from aligners.synthesis.filters import labelled_reason
from aligners.synthesis.own_data import iterate_imported
from aligners.synthesis.sides import read_sides


def main(*, criterion: str, own_data: Path, split: Path, synthesis: str, output: Path) -> None:
    """Write the suitable labelled rows to `output`; counts and dropped rows beside it."""
    language = load_recipe(SynthesisRecipe, synthesis).cleaning.language
    languages = load_recipe(CriterionRecipe, criterion).languages
    sides = read_sides(split)
    filtered = (
        (row, labelled_reason(row, language, languages))
        if row_id(row["question"]) in sides
        else (row, "near_several_splits")
        for row in iterate_imported(own_data)
        if row["kind"] == "labels"
    )
    write_filtered(filtered, output)


if __name__ == "__main__":
    run(main)
