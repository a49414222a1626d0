"""Draw a curve of the squad's win rate over its threshold from the turns of one run."""

from pathlib import Path

from aligners.core.program import run
from aligners.core.rows import atomic_path, read_rows
from aligners.judging.thresholds import threshold_curve
from aligners.statistics.verdicts import preferences, read_verdicts


def main(
    *, squad: Path, verdicts: Path, turns: Path, threshold: float, seed: int, output: Path
) -> None:
    """Write a row for each threshold up to that of the run as CSV (see threshold_curve).

    `verdicts` and `turns` are the judge's on the squad's last answers, and on those on the way.
    """
    judged = read_verdicts(verdicts)
    last = dict(zip(judged["id"], preferences(judged), strict=True))
    keys = [(row["id"], row["turns"]) for row in read_rows(turns)]
    curve = threshold_curve(
        [row for row in read_rows(squad) if row["id"] in last],
        last,
        dict(zip(keys, preferences(read_verdicts(turns)), strict=True)),
        threshold,
        seed,
    )
    with atomic_path(output) as partial:
        curve.to_csv(partial, index=False)


if __name__ == "__main__":
    run(main)
