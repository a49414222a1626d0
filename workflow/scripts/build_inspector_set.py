"""Build the training, validation and test rows of a criterion's inspector."""

from collections.abc import Sequence
from itertools import chain
from operator import attrgetter
from pathlib import Path

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import FilterResult, filter_result
from aligners.core.program import run
from aligners.core.rows import Row, RowFile, iterate_rows
from aligners.synthesis.near_copies import is_near_copy
from aligners.synthesis.sides import SPLITS, read_sides
from aligners.synthesis.training_sets import (
    PAIR_FIELDS,
    by_split,
    inspector_rows,
    labelled_row,
    pair_places,
    sample,
)

LABEL_FIELDS = ("id", "question_id", "question", "response", "label")


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
    labels: tuple[Path, ...] = (),
) -> None:
    """Write one file for each side of the split, from a seeded sample of at most `pairs` pairs.

    The counts file counts pairs; each becomes two rows, or one if it is an identity pair. `labels`
    are labelled rows, if the criterion has some: one file or none. At most twice as many of them
    are used.
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
        labelled = labelled_by_split(labels, split, 2 * pairs, seed, result)
        for side, path in {"train": train, "validation": validation, "test": test}.items():
            kept = chain((source[place.place] for place in sides[side]), labelled[side])
            result.write(((row, None) for row in kept), path, rows_of=rows_of)


def labelled_by_split(
    files: Sequence[Path], split: Path, limit: int, seed: int, result: FilterResult
) -> dict[str, list[Row]]:
    """Return a seeded sample of the labelled rows in some files, by side."""
    rows = [row for path in files for row in iterate_rows(path, needs=LABEL_FIELDS)]
    chosen, others = sample(rows, limit, seed)
    for row in others:
        result.drop(row, "over_limit")
    side_of = read_sides(split)
    sides: dict[str, list[Row]] = {side: [] for side in SPLITS}
    for row in chosen:
        sides[side_of[row["question_id"]]].append(row)
    return sides


def rows_of(row: Row) -> Sequence[Row]:
    """Return the rows of a pair, or of an imported row with a label."""
    return [labelled_row(row)] if "label" in row else inspector_rows(row)


if __name__ == "__main__":
    run(main)
