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
# With fewer scores that differ from the commonest one, resamples vary too little.
FEWEST_VARYING = 10

Scores = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A value, its 95% interval, and n, the number of questions; None where n is zero."""

    value: float | None
    low: float | None
    high: float | None
    n: int


NOTHING = Estimate(None, None, None, 0)


def share(flags: Iterable[bool]) -> Estimate:
    """Return the share of true flags, with Wilson's interval (1927)."""
    given = np.fromiter(flags, dtype=bool)
    if not len(given):
        return NOTHING
    low, high = proportion_confint(given.sum(), len(given), ALPHA, method="wilson")
    return Estimate(float(given.mean()), float(low), float(high), len(given))


def mean_score(
    scores: Scores, seed: int, *, lowest: float = 0.0, resamples: int = RESAMPLES
) -> Estimate:
    """Return the mean of scores with an interval, from a bootstrap over questions.

    The bootstrap is BCa (Efron 1987), which covers better than percentiles where few questions
    are lost or few won. Where nearly all scores are equal, every resample is nearly the sample
    and any bootstrap far too sure. There the interval is Wilson's with the sum of the scores as
    its count: cautious, because of all scores within two bounds and with one mean, those on the
    bounds vary most.

    Args:
        scores: one for each question, from `lowest` to 1.
        seed: decides the resamples.
        lowest: the smallest score possible: 0 for preferences, -1 for differences of two.
        resamples: how often questions are drawn anew.
    """
    n = len(scores)
    if not n:
        return NOTHING
    _, counts = np.unique(scores, return_counts=True)
    if n - counts.max() < FEWEST_VARYING:
        width = 1 - lowest
        positive = min((scores - lowest).sum() / width, n)  # Rounding may take it beyond n.
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
