"""Shares and mean scores with their 95% intervals.

The bounds of a mean come from Bayesian bootstraps (Rubin 1981): each question gets a random weight.
A bootstrap alone is far too narrow if rare verdicts are missing by chance, for example if all of 50
questions are won. So each bound allows for a part of an unseen question: the lower bound for a lost
one, the upper bound for a won one. Its verdict is as clear as those on the other questions. So a
judge that is nearly undecided on all questions has a narrow interval, and a judge that is nearly
certain has that of wins and losses.

If the unseen question had the weight 1, the bounds of wins and losses would be those of Clopper and
Pearson (1934), which are conservative. The simulations of benchmarks/evaluation_statistics.py show
the coverage with the weight `UNSEEN`, and that of other methods.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from statsmodels.stats.proportion import proportion_confint

from aligners.statistics.verdicts import TIE

ALPHA = 0.05
RESAMPLES = 9999
# Resamples in memory at once.
BATCH = 1000
# Weight of the unseen question; that of a question is 1.
UNSEEN = 0.6

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


@dataclass(frozen=True)
class ResampledMeans:
    """Means of the resamples for the lower and for the upper bound of an interval."""

    lower: Scores
    upper: Scores

    def interval(self) -> tuple[float, float]:
        """Return the 95% interval."""
        # The rank at which `p_value` crosses ALPHA.
        rank = math.ceil(ALPHA / 2 * (len(self.lower) + 1) - 0.5)
        return float(np.sort(self.lower)[rank - 1]), float(np.sort(self.upper)[-rank])

    def p_value(self, mean: float) -> float:
        """Return the two-sided p-value of a mean: below 0.05 if the interval excludes the mean."""
        beyond = min(np.sum(self.lower <= mean), np.sum(self.upper >= mean))
        return min(1.0, float(2 * beyond + 1) / (len(self.lower) + 1))


def share(flags: Iterable[bool]) -> Estimate:
    """Return the share of true flags, with Wilson's interval (1927)."""
    values = np.fromiter(flags, dtype=bool)
    if not len(values):
        return NO_ESTIMATE
    low, high = proportion_confint(values.sum(), len(values), ALPHA, method="wilson")
    return Estimate(float(values.mean()), float(low), float(high), len(values))


def mean_score(scores: Scores, seed: int, *, resamples: int = RESAMPLES) -> Estimate:
    """Return the mean of scores from 0 to 1, one for each question, with its interval.

    Args:
        scores: preferences of questions.
        seed: of the resamples.
        resamples: number of resamples.
    """
    if not len(scores):
        return NO_ESTIMATE
    unseen = unseen_strength(np.abs(scores - TIE), strongest=TIE)
    generator = np.random.default_rng(seed)
    means = resampled_means(scores, TIE - unseen, TIE + unseen, generator, resamples)
    return estimate(float(scores.mean()), means, len(scores))


def unseen_strength(strengths: Scores, *, strongest: float) -> float:
    """Return how far the verdict on the unseen question is from a tie.

    This is the mean of the questions, each weighted by its own strength, so that many ties and
    near-ties do not hide how clear the other verdicts are. One verdict of the greatest strength is
    added, which matters if nearly all are ties.
    """
    return float(((strengths**2).sum() + strongest**2) / (strengths.sum() + strongest))


def resampled_means(
    scores: Scores,
    lost: float,
    won: float,
    generator: np.random.Generator,
    resamples: int = RESAMPLES,
    unseen: float = UNSEEN,
) -> ResampledMeans:
    """Return the means of Bayesian bootstraps with an unseen question.

    Args:
        scores: one for each question.
        lost, won: the score of the unseen question for the lower and for the upper bound.
        generator: for the weights.
        resamples: number of resamples.
        unseen: weight of the unseen question.
    """
    # Equal scores get their weights together. So the order of the questions has no effect.
    values, counts = np.unique(scores, return_counts=True)
    lower, upper = np.empty(resamples), np.empty(resamples)
    for start in range(0, resamples, BATCH):
        batch = slice(start, min(start + BATCH, resamples))
        weights = generator.standard_gamma(counts, (batch.stop - start, len(counts)))
        added = generator.standard_gamma(unseen, len(weights))
        sums, total = weights @ values, weights.sum(axis=1) + added
        lower[batch] = (sums + added * lost) / total
        upper[batch] = (sums + added * won) / total
    return ResampledMeans(lower, upper)


def estimate(value: float, means: ResampledMeans, n: int) -> Estimate:
    """Return a mean of n questions with the interval of its resamples."""
    low, high = means.interval()
    # Equal scores give equal means, apart from rounding.
    return Estimate(value, min(low, value), max(high, value), n)
