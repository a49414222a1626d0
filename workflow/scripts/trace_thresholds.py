"""Compute the squad's win rate at lower thresholds from the turns of one run."""

from pathlib import Path

from aligners.core.program import run
from aligners.core.rows import atomic_path, read_rows
from aligners.judging.thresholds import threshold_curve
from aligners.statistics.verdicts import preferences, read_verdicts


def main(
    *, squad: Path, verdicts: Path, turns: Path, threshold: float, seed: int, output: Path
) -> None:
    """Write a CSV row for each threshold up to the run's own (see threshold_curve).

    `verdicts` are the verdicts on the squad's final corrections, `turns` those on the intermediate
    ones.
    """
    judged = read_verdicts(verdicts)
    final = dict(zip(judged["id"], preferences(judged), strict=True))
    keys = [(row["id"], row["turns"]) for row in read_rows(turns)]
    curve = threshold_curve(
        [row for row in read_rows(squad) if row["id"] in final],
        final,
        dict(zip(keys, preferences(read_verdicts(turns)), strict=True)),
        threshold,
        seed,
    )
    with atomic_path(output) as partial:
        curve.to_csv(partial, index=False)


if __name__ == "__main__":
    run(main)
