"""Draw a curve of the squad's win rate over its threshold from the turns of one run."""

from pathlib import Path

import pandas as pd

from aligners.program import run
from aligners.rows import atomic_path, read_rows
from aligners.thresholds import threshold_curve
from aligners.verdicts import preferences


def main(
    *, squad: Path, verdicts: Path, turns: Path, threshold: float, seed: int, output: Path
) -> None:
    """Write a row for each threshold up to that of the run as CSV (see threshold_curve).

    `verdicts` and `turns` are the judge's on the squad's last answers, and on those on the way.
    """
    last, on_the_way = pd.DataFrame(read_rows(verdicts)), read_rows(turns)
    by_id = dict(zip(last["id"], preferences(last), strict=True))
    way = preferences(pd.DataFrame(on_the_way)) if on_the_way else []
    keys = [(row["id"], row["turns"]) for row in on_the_way]
    curve = threshold_curve(
        [row for row in read_rows(squad) if row["id"] in by_id],
        by_id,
        dict(zip(keys, way, strict=True)),
        threshold,
        seed,
    )
    with atomic_path(output) as partial:
        curve.to_csv(partial, index=False)


if __name__ == "__main__":
    run(main)
