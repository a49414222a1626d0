"""Turns of aligners: the scores before and after, and the object that a trace has of each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scipy.special import expit

from aligners.core.reasons import ACCEPTED
from aligners.correction.gate import Decision


@dataclass(frozen=True)
class Scores:
    """A text's log odds of "aligned", and their distances from the thresholds, by criterion."""

    log_odds: Mapping[str, float]
    margins: Mapping[str, float]

    @property
    def probabilities(self) -> dict[str, float]:
        """Return P(aligned) by criterion."""
        return {name: float(expit(value)) for name, value in self.log_odds.items()}


def traced_turn(
    criterion: str, before: Scores | None, correction: str, after: Scores | None, decision: Decision
) -> dict[str, Any]:
    """Return a turn as a trace has it (docs/data.md).

    Args:
        criterion: whose aligner acted.
        before: scores of the text that it read; None without inspectors.
        correction: the text that it wrote.
        after: scores of the correction; None without inspectors, or if it was rejected unscored.
        decision: on the correction.
    """
    return {
        "criterion": criterion,
        "before": before.probabilities if before else None,
        "margins_before": dict(before.margins) if before else None,
        "aligned_response": correction,
        "after": after.probabilities if after else None,
        "margins_after": dict(after.margins) if after else None,
        "accepted": decision.reason == ACCEPTED,
        "reason": decision.reason,
        "lowered": decision.lowered,
    }
