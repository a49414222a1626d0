"""Build the training, validation and test rows of a criterion's aligner."""

from pathlib import Path

from aligners.core.counts import write_counts
from aligners.core.program import run
from aligners.core.rows import by_id, read_rows, write_rows
from aligners.synthesis.training_sets import by_split, sample, with_identity_share


def main(
    *,
    pairs: Path,
    split: Path,
    identity_share: float,
    rows: int,
    seed: int,
    train: Path,
    validation: Path,
    test: Path,
    counts: Path,
    dropped: Path,
) -> None:
    """Write one file for each side of the split, with a share of identity rows.

    At most `rows` training rows are kept, as a seeded sample.
    """
    sides = by_split(read_rows(pairs), by_id(read_rows(split)))
    all_kept, all_dropped = [], []
    for side, path in {"train": train, "validation": validation, "test": test}.items():
        sieve = with_identity_share(sides[side], identity_share, seed)
        kept, others = sample(sieve.kept, rows if side == "train" else None, seed)
        for row in others:
            sieve.drop(row, "over_limit")
        write_rows(path, kept)
        all_kept += kept
        all_dropped += sieve.dropped
    write_counts(all_kept, all_dropped, counts, dropped)


if __name__ == "__main__":
    run(main)
