"""Build the training, validation and test rows of a criterion's inspector."""

from collections.abc import Sequence
from functools import partial
from math import ceil
from operator import attrgetter
from pathlib import Path

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import filter_result
from aligners.core.program import run
from aligners.core.reasons import EMPTY_RESPONSE
from aligners.core.rows import Row, RowFile
from aligners.synthesis.near_copies import is_near_copy
from aligners.synthesis.training_sets import (
    PAIR_FIELDS,
    PairPlace,
    by_split,
    empty_response_row,
    inspector_rows,
    pair_places,
    sample,
)

# Of 100 pairs, one more row has an empty response. Without them, an inspector gives an empty
# response any score, and LLMs return some.
PAIRS_PER_EMPTY_RESPONSE = 100


def empty_responses(pairs: Sequence[PairPlace], seed: int) -> set[str]:
    """Return the ids of the pairs that also become a row with an empty response, at least one."""
    count = ceil(len(pairs) / PAIRS_PER_EMPTY_RESPONSE)
    chosen, _ = sample(pairs, count, seed, attrgetter("id"))
    return {pair.id for pair in chosen}


def rows_of_pair(emptied: set[str], pair: Row) -> list[Row]:
    """Return the rows of a pair; `emptied` are the ids of pairs with one more row."""
    extra = [empty_response_row(pair)] if pair["id"] in emptied else []
    return [*inspector_rows(pair), *extra]


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

    The counts file counts pairs; each becomes two rows, or one if it is an identity pair. Some
    pairs of the training side also become a row with an empty response, which `replaced` counts.
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
            emptied = empty_responses(sides[side], seed) if side == "train" else set()
            result.replaced[EMPTY_RESPONSE] += len(emptied)
            kept = ((source[place.place], None) for place in sides[side])
            result.write(kept, path, rows_of=partial(rows_of_pair, emptied))


if __name__ == "__main__":
    run(main)
