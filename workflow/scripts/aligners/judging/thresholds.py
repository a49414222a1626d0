"""The squad's win rate if it began to act only at lower scores, from the traces of one run.

In each turn, the squad sends a text to the aligner with the lowest margin, if this margin is below
0. If it acted only below a negative offset, it would take the same turns and stop earlier, because
the gate does not depend on the offset. So the traces of one run contain the corrections at all
negative offsets.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from aligners.core.errors import UserError
from aligners.core.rows import Row, read_rows
from aligners.judging.comparison_files import TextPair
from aligners.statistics.intervals import mean_score, share
from aligners.statistics.verdicts import TIE

# Margins in logits below which the squad acts; 0 is the run itself.
OFFSETS = (-16.0, -8.0, -6.0, -5.0, -4.0, -3.0, -2.0, -1.5, -1.0, -0.5, 0.0)


def read_squad(path: Path) -> list[Row]:
    """Read a squad's rows with their traces.

    Raises:
        UserError: a row is damaged, or a turn has no scores.
    """
    rows = read_rows(path, needs=("id", "response", "aligned_response", "scores", "trace"))
    check_squad(rows, path)
    return rows


def check_squad(rows: Iterable[Row], path: Path) -> None:
    """Check that each turn in the traces of a file has scores.

    Raises:
        UserError: a turn has none.
    """
    for row in rows:
        if any(turn["before"] is None for turn in row["trace"]):
            raise UserError(
                f"{path}: a turn in the trace of {row['id']} has no scores, so the row is not of a "
                "squad; delete the file and run again"
            )


def check_turns(rows: Iterable[Row], intermediate: Container[tuple[str, int]], turns: Path) -> None:
    """Check that there is a verdict on each intermediate correction that a curve may need.

    Args:
        rows: the squad's rows with their traces.
        intermediate: the ids and numbers of accepted turns that have a verdict.
        turns: the file of these verdicts, for the message.

    Raises:
        UserError: one is missing.
    """
    for row in rows:
        accepted = [turn["aligned_response"] for turn in row["trace"] if turn["accepted"]]
        for number, correction in enumerate(accepted, start=1):
            is_last = correction in (row["response"], row["aligned_response"])
            if not is_last and (row["id"], number) not in intermediate:
                raise UserError(
                    f"{turns}: no verdict on the correction of {row['id']} after {number} accepted "
                    "turns, so the file is not of this squad; delete it and run again"
                )


def turns_taken(row: Row, offset: float) -> list[Row]:
    """Return the turns of a row if the squad acts below an offset, which is at most 0."""
    taken = []
    for turn in row["trace"]:
        if turn["margins_before"][turn["criterion"]] >= offset:
            break
        taken.append(turn)
    return taken


def intermediate_corrections(row: Row) -> Iterator[tuple[int, str]]:
    """Yield each accepted correction before the last, with the number of accepted turns so far.

    Those that equal the response or the last correction are left out.
    """
    accepted = [turn["aligned_response"] for turn in row["trace"] if turn["accepted"]]
    for number, correction in enumerate(accepted[:-1], start=1):
        if correction not in (row["response"], row["aligned_response"]):
            yield number, correction


def intermediate_pairs(
    rows: Iterable[Row], inputs: Mapping[str, Row]
) -> Iterator[tuple[int, TextPair]]:
    """Yield each intermediate correction as a pair with the response, after its number of turns.

    Args:
        rows: the squad's rows with their traces.
        inputs: the questions by id; rows of other questions are left out.
    """
    for row in rows:
        if row["id"] in inputs:
            for number, correction in intermediate_corrections(row):
                pair = TextPair(inputs[row["id"]], correction, row["response"], unchanged=False)
                yield number, pair


def threshold_curve(
    rows: Sequence[Row],
    last: Mapping[str, float],
    intermediate: Mapping[tuple[str, int], float],
    seed: int,
) -> pd.DataFrame:
    """Return the squad's win rate against the base LLM's responses, by offset.

    Args:
        rows: the squad's rows with their traces.
        last: the preference for each last correction, by id; NaN if there is no verdict.
        intermediate: the preference for each intermediate correction, by id and number of
            accepted turns.
        seed: of the intervals.

    Returns:
        Columns offset; acted and changed, the shares of responses that an aligner acted on and
        that were changed; win_rate, low, high and n (see Estimate).
    """
    return pd.DataFrame([curve_row(rows, last, intermediate, each, seed) for each in OFFSETS])


def curve_row(
    rows: Sequence[Row],
    last: Mapping[str, float],
    intermediate: Mapping[tuple[str, int], float],
    offset: float,
    seed: int,
) -> dict[str, float | int | None]:
    """Return one row of the curve; the arguments are those of `threshold_curve`."""
    acted, changed, preferences = [], [], []
    for row in rows:
        turns = turns_taken(row, offset)
        accepted = [turn["aligned_response"] for turn in turns if turn["accepted"]]
        text = accepted[-1] if accepted else row["response"]
        acted.append(bool(turns))
        changed.append(text != row["response"])
        if text == row["response"]:
            preferences.append(TIE)
        elif text == row["aligned_response"]:
            preferences.append(last[row["id"]])
        else:
            preferences.append(intermediate[row["id"], len(accepted)])
    scores = np.array(preferences, dtype=float)
    estimate = mean_score(scores[~np.isnan(scores)], seed)
    return {
        "offset": offset,
        "acted": share(acted).value,
        "changed": share(changed).value,
        "win_rate": estimate.value,
        "low": estimate.low,
        "high": estimate.high,
        "n": estimate.n,
    }
