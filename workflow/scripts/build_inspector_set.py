"""Build the training, validation and test rows of a criterion's inspector."""

from operator import attrgetter
from pathlib import Path

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import filter_result
from aligners.core.program import run
from aligners.core.rows import RowFile
from aligners.synthesis.near_copies import is_near_copy
from aligners.synthesis.training_sets import (
    PAIR_FIELDS,
    by_split,
    inspector_rows,
    pair_places,
    sample,
)


def main(
    *,
    criterion: str,
    similarity: Path,
    split: Path,
    pairs: int,
    seed: int,
    train: Path,
    validation: Path,
    test: Path,
    counts: Path,
    dropped: Path,
) -> None:
    """Write one file for each side of the split, from a seeded sample of at most `pairs` pairs.

    The counts file counts pairs; each becomes two rows, or one if it is an identity pair.
    """
    near_copy_similarity = load_recipe(CriterionRecipe, criterion).near_copy_similarity
    fields = (*PAIR_FIELDS, "similarity")
    with RowFile(similarity, fields) as source, filter_result(counts, dropped) as result:
        distinct = []
        for place, pair in pair_places(source):
            if is_near_copy(pair, near_copy_similarity):
                result.drop(pair, "near_copy")
            else:
                distinct.append(place)
        chosen, others = sample(distinct, pairs, seed, attrgetter("id"))
        for place in others:
            result.drop(source[place.place], "over_limit")
        sides = by_split(chosen, split)
        for side, path in {"train": train, "validation": validation, "test": test}.items():
            kept = ((source[place.place], None) for place in sides[side])
            result.write(kept, path, rows_of=inspector_rows)


if __name__ == "__main__":
    run(main)
