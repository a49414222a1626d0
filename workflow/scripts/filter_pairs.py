"""Drop the pairs of a criterion that are unsuitable for training, each with a reason."""

from pathlib import Path

from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.progress import track
from aligners.core.rows import iterate_rows, number_of_rows
from aligners.synthesis.filters import pair_reason
from aligners.synthesis.sides import with_sides
from aligners.synthesis.training_sets import PAIR_FIELDS


def main(*, pairs: Path, split: Path, synthesis: str, output: Path) -> None:
    """Write the suitable pairs to `output`; counts and dropped rows beside it."""
    language = load_recipe(SynthesisRecipe, synthesis).cleaning.language
    total = number_of_rows(pairs)
    rows = track(iterate_rows(pairs, needs=PAIR_FIELDS), total, "filtering")
    filtered = (
        (row, pair_reason(row, language) if side else "near_several_splits")
        for row, side in with_sides(rows, split)
    )
    write_filtered(filtered, output, total)


if __name__ == "__main__":
    run(main)
