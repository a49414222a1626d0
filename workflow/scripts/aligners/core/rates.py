"""Rates with their intervals, as scorecards have them."""

from collections.abc import Iterable

from scipy.stats import binomtest

Rate = dict[str, float | int | None]


def rate(verdicts: Iterable[bool]) -> Rate:
    """Return the share of true verdicts with its 95% interval (Wilson 1927) and n."""
    outcomes = list(verdicts)
    if not outcomes:
        return {"value": None, "low": None, "high": None, "n": 0}
    test = binomtest(sum(outcomes), len(outcomes))
    interval = test.proportion_ci(0.95, method="wilson")
    return {
        "value": round(sum(outcomes) / len(outcomes), 4),
        "low": round(float(interval.low), 4),
        "high": round(float(interval.high), 4),
        "n": len(outcomes),
    }
