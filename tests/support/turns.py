"""Turns of a trace, as a squad writes them."""

from typing import Any

from scipy.special import logit


def make_turn(
    criterion: str,
    before: dict[str, float] | None,
    after: dict[str, float] | None,
    reason: str = "accepted",
    text: str = "It is so.",
    lowered: str | None = None,
) -> dict[str, Any]:
    """Return a turn; `after` has only the scores that changed, and the thresholds are 0.5."""
    scores = None if before is None or after is None else {**before, **after}
    return {
        "criterion": criterion,
        "before": before,
        "margins_before": margins(before),
        "aligned_response": text,
        "after": scores,
        "margins_after": margins(scores),
        "accepted": reason == "accepted",
        "reason": reason,
        "lowered": lowered,
    }


def margins(scores: dict[str, float] | None) -> dict[str, float] | None:
    """Return the margins of scores, finite also for 0 and 1."""
    if scores is None:
        return None
    return {name: float(logit(min(max(score, 1e-40), 1 - 1e-15))) for name, score in scores.items()}


def make_row(id: str, trace: list[dict[str, Any]], **texts: str) -> dict[str, Any]:
    """Return a row of a squad with its scores; without turns, all scores are high."""
    scores = trace[0]["before"] if trace else {"ethical": 0.9, "factuality": 0.9}
    reason = None if trace else "above_threshold"
    return {"id": id, **texts, "scores": scores, "reason": reason, "trace": trace}
