"""Build the training, validation and test rows of a criterion's aligner."""

import json
from pathlib import Path

from aligners.core.counts import filter_result
from aligners.core.program import run
from aligners.core.rows import RowFile
from aligners.synthesis.training_sets import (
    PAIR_FIELDS,
    aligner_row,
    by_split,
    pair_places,
    plan_aligner_rows,
    preference_reason,
)


def main(
    *,
    pairs: Path,
    split: Path,
    identity_share: float,
    rows: int,
    least_similarity: str,
    seed: int,
    train: Path,
    validation: Path,
    test: Path,
    counts: Path,
    dropped: Path,
) -> None:
    """Write one file for each side of the split, with a share of identity rows.

    At most `rows` training rows are kept, as a seeded sample. `least_similarity` is JSON: the
    least similarity of the two responses of a preference, by import.
    """
    least = json.loads(least_similarity)
    with RowFile(pairs, PAIR_FIELDS) as source, filter_result(counts, dropped) as result:
        usable = []
        for place, pair in pair_places(source):
            if reason := preference_reason(pair, least):
                result.drop(pair, reason)
            else:
                usable.append(place)
        sides = by_split(usable, split)
        for side, path in {"train": train, "validation": validation, "test": test}.items():
            limit = rows if side == "train" else None
            planned = plan_aligner_rows(sides[side], identity_share, limit, seed)
            result.write(
                ((aligner_row(source[plan.pair.place], plan), reason) for plan, reason in planned),
                path,
            )


if __name__ == "__main__":
    run(main)
