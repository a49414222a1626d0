"""Drop the pairs of a criterion that are unsuitable for training, each with a reason."""

from pathlib import Path

from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.progress import track
from aligners.core.rows import Row, iterate_rows, number_of_rows
from aligners.synthesis.filters import pair_reason
from aligners.synthesis.split import DROPPED, read_all_sides, side_of
from aligners.synthesis.training_sets import PAIR_FIELDS


def main(*, pairs: Path, split: Path, synthesis: str, output: Path) -> None:
    """Write the suitable pairs to `output`; counts and dropped rows beside it."""
    language = load_recipe(SynthesisRecipe, synthesis).cleaning.language
    sides = read_all_sides(split)
    total = number_of_rows(pairs)
    rows = track(iterate_rows(pairs, needs=PAIR_FIELDS), total, "filtering")

    def reason(row: Row) -> str | None:
        if side_of(row["id"], sides, split) == DROPPED:
            return "near_several_splits"
        return pair_reason(row, language)

    write_filtered(((row, reason(row)) for row in rows), output, total)


if __name__ == "__main__":
    run(main)
