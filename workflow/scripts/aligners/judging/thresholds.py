"""The squad's win rate at lower thresholds, from the turns of one run.

In each turn the squad sends a text to the aligner whose inspector gives the lowest score, if that
score is below the threshold. At a lower threshold the squad takes the same turns and stops earlier.
So the trace of one run has all its corrections.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from aligners.core.rows import Row
from aligners.judging.comparison_files import Pair
from aligners.statistics.intervals import mean_score, share
from aligners.statistics.verdicts import TIE

THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def turns_taken(row: Row, threshold: float) -> list[Row]:
    """Return the turns of an answer at a threshold, which is at most that of the run."""
    taken = []
    for turn in row["trace"]:
        if turn["before"][turn["criterion"]] >= threshold:
            break
        taken.append(turn)
    return taken


def answers_on_the_way(row: Row) -> Iterator[tuple[int, str]]:
    """Yield each correction between the first text and the last, and its number of turns."""
    accepted = [turn["aligned_response"] for turn in row["trace"] if turn["accepted"]]
    for number, answer in enumerate(accepted[:-1], start=1):
        if answer not in (row["response"], row["aligned_response"]):
            yield number, answer


def pairs_on_the_way(rows: Iterable[Row], inputs: Mapping[str, Row]) -> Iterator[tuple[int, Pair]]:
    """Yield such corrections as pairs with the response, and the number of accepted turns.

    Args:
        rows: the squad's answers with their traces.
        inputs: the questions by id; rows of others are left out.
    """
    for row in rows:
        if row["id"] in inputs:
            for number, answer in answers_on_the_way(row):
                yield number, Pair(inputs[row["id"]], answer, row["response"], unchanged=False)


def threshold_curve(
    rows: Sequence[Row],
    last: Mapping[str, float],
    on_the_way: Mapping[tuple[str, int], float],
    threshold: float,
    seed: int,
) -> pd.DataFrame:
    """Return the squad's win rate over the base answers by threshold.

    Args:
        rows: the squad's answers with their traces.
        last: preference for each last answer, by id; NaN where there is no verdict.
        on_the_way: preference for each answer on the way, by id and number of accepted turns.
        threshold: of the run; the curve ends there.
        seed: of the intervals.

    Returns:
        Columns threshold; acted and changed, the shares of answers that an aligner acted on and
        that differ from the base answer; win_rate, low, high and n (see Estimate).
    """
    lower = [each for each in THRESHOLDS if each < threshold]
    return pd.DataFrame(
        [at_threshold(rows, last, on_the_way, each, seed) for each in [*lower, threshold]]
    )


def at_threshold(
    rows: Sequence[Row],
    last: Mapping[str, float],
    on_the_way: Mapping[tuple[str, int], float],
    threshold: float,
    seed: int,
) -> dict[str, float | int | None]:
    """Return one row of the curve."""
    acted, changed, preferences = [], [], []
    for row in rows:
        turns = turns_taken(row, threshold)
        accepted = [turn["aligned_response"] for turn in turns if turn["accepted"]]
        answer = accepted[-1] if accepted else row["response"]
        acted.append(bool(turns))
        changed.append(answer != row["response"])
        if answer == row["response"]:
            preferences.append(TIE)
        elif answer == row["aligned_response"]:
            preferences.append(last[row["id"]])
        else:
            preferences.append(on_the_way[row["id"], len(accepted)])
    scores = np.array(preferences, dtype=float)
    estimate = mean_score(scores[~np.isnan(scores)], seed)
    return {
        "threshold": threshold,
        "acted": share(acted).value,
        "changed": share(changed).value,
        "win_rate": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
    }
