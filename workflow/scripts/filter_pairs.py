"""Drop the pairs of a criterion that are unsuitable for training, each with a reason."""

from collections import Counter
from pathlib import Path

from aligners.configuration.criteria import load_principles
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.progress import track
from aligners.core.rows import iterate_rows, number_of_rows
from aligners.synthesis.critiques import critique_reader
from aligners.synthesis.filters import filter_pair
from aligners.synthesis.sides import with_sides

FIELDS = ("id", "question", "response", "critique", "aligned_response")


def main(*, criterion: str, pairs: Path, split: Path, synthesis: str, output: Path) -> None:
    """Write the suitable pairs to `output`; counts and dropped rows beside it.

    There are no pairs if the criterion has labelled rows alone.
    """
    language = load_recipe(SynthesisRecipe, synthesis).cleaning.language
    languages = load_recipe(CriterionRecipe, criterion).languages
    reader = critique_reader(load_principles(criterion), languages)
    total = number_of_rows(pairs)
    rows = track(iterate_rows(pairs, needs=FIELDS), total, "filtering")
    replaced = Counter[str]()
    filtered = (
        filter_pair(row, language, replaced, languages, reader)
        if side
        else (row, "near_several_splits")
        for row, side in with_sides(rows, split)
    )
    write_filtered(filtered, output, total, may_be_empty=total == 0, replaced=replaced)


if __name__ == "__main__":
    run(main)
