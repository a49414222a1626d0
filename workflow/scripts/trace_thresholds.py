"""Compute the squad's win rate if it acted only at lower scores, from the turns of one run."""

from collections import Counter
from pathlib import Path

from aligners.core.errors import UserError
from aligners.core.program import run
from aligners.core.rows import atomic_path, read_rows
from aligners.judging.thresholds import check_turns, read_squad, threshold_curve
from aligners.statistics.verdicts import preferences, read_verdicts


def main(*, squad: Path, verdicts: Path, turns: Path, seed: int, output: Path) -> None:
    """Write a CSV row for each offset of the thresholds (see threshold_curve).

    `verdicts` are the verdicts on the squad's final corrections, `turns` those on the intermediate
    ones.
    """
    judged, judged_turns = read_verdicts(verdicts), read_verdicts(turns, repeated_ids=True)
    final = dict(zip(judged["id"], preferences(judged), strict=True))
    keys = [(row["id"], row["turns"]) for row in read_rows(turns, ("id", "turns"), True)]
    intermediate = dict(zip(keys, preferences(judged_turns), strict=True))
    if repeated := [key for key, count in Counter(keys).items() if count > 1]:
        raise UserError(
            f"{turns}: several verdicts on the correction of {repeated[0][0]} after "
            f"{repeated[0][1]} accepted turns; delete the file and run again"
        )
    rows = [row for row in read_squad(squad) if row["id"] in final]
    if missing := final.keys() - {row["id"] for row in rows}:
        raise UserError(
            f"{squad}: no row of the judged question {min(missing)}, so the file is not complete; "
            "delete it and run again"
        )
    check_turns(rows, intermediate.keys(), turns)
    curve = threshold_curve(rows, final, intermediate, seed)
    with atomic_path(output) as partial:
        curve.to_csv(partial, index=False)


if __name__ == "__main__":
    run(main)
