"""Build the training, validation and test rows of a criterion's inspector."""

from pathlib import Path

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_counts
from aligners.core.program import run
from aligners.core.rows import by_id, read_rows, write_rows
from aligners.synthesis.training_sets import by_split, drop_near_copies, inspector_rows, sample


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

    The counts file counts pairs; each pair becomes two rows.
    """
    near_copy_similarity = load_recipe(CriterionRecipe, criterion).near_copy_similarity
    distinct = drop_near_copies(read_rows(similarity), near_copy_similarity)
    chosen, others = sample(distinct.kept, pairs, seed)
    for row in others:
        distinct.drop(row, "over_limit")
    sides = by_split(chosen, by_id(read_rows(split)))
    for side, path in {"train": train, "validation": validation, "test": test}.items():
        write_rows(path, [row for pair in sides[side] for row in inspector_rows(pair)])
    write_counts(chosen, distinct.dropped, counts, dropped)


if __name__ == "__main__":
    run(main)
