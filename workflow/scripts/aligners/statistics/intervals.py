"""Shares and mean scores with their 95% intervals."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap
from statsmodels.stats.proportion import proportion_confint

ALPHA = 0.05
RESAMPLES = 9999
# Resamples in memory at once; the result does not depend on it.
BATCH = 1000
# With fewer scores that differ from the most common score, resamples vary too little.
MIN_VARYING = 10

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value, its 95% interval, and n, the number of questions; without a value only n is set."""

    value: float | None
    low: float | None
    high: float | None
    n: int

    def __post_init__(self) -> None:
        """Check that there is a value with its interval, or neither."""
        if len({each is None for each in (self.value, self.low, self.high)}) > 1:
            raise ValueError("has only some of value, low and high")


NO_ESTIMATE = Estimate(None, None, None, 0)


def share(flags: Iterable[bool]) -> Estimate:
    """Return the share of true flags, with Wilson's interval (1927)."""
    values = np.fromiter(flags, dtype=bool)
    if not len(values):
        return NO_ESTIMATE
    low, high = proportion_confint(values.sum(), len(values), ALPHA, method="wilson")
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def mean_score(
    scores: Scores, seed: int, *, lowest: float = 0.0, resamples: int = RESAMPLES
) -> Estimate:
    """Return the mean of scores with an interval, from a bootstrap over questions.

    The bootstrap is BCa (Efron 1987), which has better coverage than percentiles if few questions
    are won or few are lost. If nearly all scores are equal, all resamples are nearly equal and a
    bootstrap interval is far too narrow. The interval is then Wilson's, with the sum of the scores
    as its count. It is conservative: among scores with the same bounds and the same mean, those
    on the bounds have the highest variance.

    Args:
        scores: one for each question, from `lowest` to 1.
        seed: of the resamples.
        lowest: the smallest possible score: 0 for preferences, -1 for differences of two.
        resamples: number of resamples.
    """
    n = len(scores)
    if not n:
        return NO_ESTIMATE
    _, counts = np.unique(scores, return_counts=True)
    if n - counts.max() < MIN_VARYING:
        width = 1 - lowest
        positive = min((scores - lowest).sum() / width, n)  # Rounding can make it exceed n.
        low, high = proportion_confint(positive, n, ALPHA, method="wilson")
        low, high = lowest + low * width, lowest + high * width
    else:
        low, high = bootstrap(
            (scores,),
            np.mean,
            n_resamples=resamples,
            batch=BATCH,
            confidence_level=1 - ALPHA,
            method="BCa",
            rng=np.random.default_rng(seed),
        ).confidence_interval
    return Estimate(float(scores.mean()), float(low), float(high), n)
