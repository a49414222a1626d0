"""The inspectors on the LLMs' responses, which they are for, measured against the known truth.

A squad's file has each inspector's score of each response. Whether the response meets the criterion
is known in the closed world.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from aligners.closed_world.scorecard import by_knowledge, trained_items
from aligners.closed_world.truth import Truth
from aligners.configuration import results
from aligners.configuration.scored_results import ScoredResults
from aligners.configuration.systems import SQUAD
from aligners.core.file_checks import Probability
from aligners.core.rows import Row, read_json, read_rows

Labels = NDArray[np.integer]
# From log odds and labels, one of each for a row, to named errors of the calibration.
CalibrationErrors = Callable[[NDArray[np.floating], Labels], Mapping[str, float | None]]
# A score of 0 or 1 has no finite log odds.
LEAST_SCORE = 1e-12


class Threshold(BaseModel):
    """The threshold in an inspector's metrics."""

    threshold: Probability


def inspectors_on_responses(
    scored: ScoredResults, truth: Truth, calibration_errors: CalibrationErrors
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the quality of each criterion's inspector on the responses of each base LLM.

    Args:
        scored: the files of its system `squad` have the scores; without it, nothing is returned.
        truth: tells which responses meet a criterion.
        calibration_errors: measures scores against labels.

    Returns:
        By LLM, then `known_facts` and `unknown_facts`, then criterion: n, accuracy at the
        inspector's threshold, and the calibration errors; only n if there are no rows, or the
        criterion is not of the world.
    """
    if SQUAD.name not in scored.systems:
        return {}
    known = trained_items(truth, scored.rows(results.SPLIT, ("id", "question", "split")))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for llm in scored.llms:
        parts = by_knowledge(truth, known, squad_rows(scored, llm))
        found[llm] = {
            name: {
                criterion: quality(scored.inspector, criterion, truth, rows, calibration_errors)
                for criterion in scored.criteria
            }
            for name, rows in zip(("known_facts", "unknown_facts"), parts, strict=True)
        }
    return found


def squad_rows(scored: ScoredResults, llm: str) -> list[Row]:
    """Return the squad's rows of an LLM's responses to all data sets."""
    paths = [
        results.ALIGNED.path(dataset=dataset, llm=llm, backbone=scored.backbone, system=SQUAD.name)
        for dataset in scored.datasets
    ]
    return [
        row for path in paths for row in read_rows(path, ("id", "question", "response", "scores"))
    ]


def quality(
    inspector: str,
    criterion: str,
    truth: Truth,
    rows: Sequence[Row],
    calibration_errors: CalibrationErrors,
) -> dict[str, Any]:
    """Return n, and the quality of an inspector's scores of the responses that it could read.

    The truth about a criterion that is not of the world is not known, so its n is 0.
    """
    read = [row for row in rows if row["scores"].get(criterion) is not None]
    verdicts = [truth.assess(row["question"], row["response"]).get(criterion) for row in read]
    if None in verdicts or not read:
        return {"n": 0}
    path = results.INSPECTOR_METRICS.path(inspector=inspector, criterion=criterion)
    threshold = read_json(path, Threshold)["threshold"]
    scores = np.array([row["scores"][criterion] for row in read])
    labels = np.array(verdicts, dtype=int)
    clipped = np.clip(scores, LEAST_SCORE, 1 - LEAST_SCORE)
    return {
        "n": len(read),
        "accuracy": float(((scores >= threshold) == (labels == 1)).mean()),
        **calibration_errors(np.log(clipped) - np.log1p(-clipped), labels),
    }
