"""Counts how often the intervals of win rates and of differences contain the true value.

The scores are drawn from distributions of several shapes with a known mean: wins and losses, ties,
and probabilities from nearly undecided to nearly certain. Other methods get the same scores.
"""

import warnings
from collections.abc import Callable
from functools import partial
from itertools import product
from math import sqrt

import numpy as np
import pandas as pd
from figures import Figure, Figures, at_least, at_most
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from aligners.statistics.intervals import ALPHA, mean_score, resampled_means
from aligners.statistics.paired_tests import mean_difference
from aligners.statistics.reproduction import macro_mean

SIMULATIONS = 2000
# Of the other methods.
FEW_SIMULATIONS = 500
# Fewer than in an evaluation; the noise that this adds to a bound is a tenth of its standard error.
RESAMPLES = 999
QUESTIONS = (20, 50, 100, 400)
# With fewer questions, the probability of an outcome can exceed 5%, and no interval avoids excess.
MANY = 100
MEANS = (0.5, 0.9, 0.95, 0.97)
# True rates of two systems, and shares of the questions where their texts differ.
RATES = ((0.5, 0.5), (0.9, 0.9), (0.9, 0.7), (0.95, 0.9))
CHANGED = (0.1, 0.5, 1.0)
# True rates of the four categories of the reproduction, and numbers of decided questions.
CATEGORIES = ((0.5,) * 4, (0.8,) * 4, (0.97,) * 4, (0.99,) * 4, (0.55, 0.7, 0.85, 0.95))
DECIDED = (10, 20, 50)

Scores = NDArray[np.float64]
Draw = Callable[[np.random.Generator, float, tuple[int, ...]], Scores]
Bounds = tuple[Scores, Scores]


def wins(chooser: np.random.Generator, mean: float, shape: tuple[int, ...]) -> Scores:
    """Return scores of 0 and 1."""
    return (chooser.random(shape) < mean).astype(float)


def ties(share: float, chooser: np.random.Generator, mean: float, shape: tuple[int, ...]) -> Scores:
    """Return scores of 0, 0.5 and 1 with a share of the largest possible number of ties."""
    tied = share * 2 * min(mean, 1 - mean)
    return chooser.choice([0, 0.5, 1], shape, p=[1 - mean - tied / 2, tied, mean - tied / 2])


def beta(size: float, chooser: np.random.Generator, mean: float, shape: tuple[int, ...]) -> Scores:
    """Return scores from a beta distribution; the larger its size, the less they vary."""
    return chooser.beta(mean * size, (1 - mean) * size, shape)


def certain(chooser: np.random.Generator, mean: float, shape: tuple[int, ...]) -> Scores:
    """Return scores around 0.01 and 0.99."""
    error = chooser.beta(0.5, 49.5, shape)
    return np.where(chooser.random(shape) < (mean - 0.01) / 0.98, 1 - error, error)


SHAPES: dict[str, Draw] = {
    "wins and losses": wins,
    "ties": partial(ties, 0.5),
    "beta 0.1": partial(beta, 0.1),
    "beta 0.5": partial(beta, 0.5),
    "beta 1": partial(beta, 1),
    "beta 2": partial(beta, 2),
    "beta 10": partial(beta, 10),
    "beta 50": partial(beta, 50),
    "nearly certain": certain,
}
PAIRED_SHAPES = ("wins and losses", "ties", "beta 1", "nearly certain")


# Methods: the bounds of the interval for each row of scores, shape (simulations, questions)


def of_the_workflow(scores: Scores) -> Bounds:
    """Return the intervals under test."""
    found = [mean_score(row, seed, resamples=RESAMPLES) for seed, row in enumerate(scores)]
    return np.array([each.low for each in found]), np.array([each.high for each in found])


def bayesian_bootstrap(unseen: float, scores: Scores) -> Bounds:
    """Return intervals with another weight of the unseen question, whose score is 0 or 1.

    With the weight 1, they are those of Learned-Miller and Thomas (2020, arXiv 1905.06208).
    """
    chooser = np.random.default_rng(0)
    found = [
        resampled_means(row, 0, 1, chooser, RESAMPLES, unseen=unseen).interval() for row in scores
    ]
    low, high = np.array(found).T
    return low, high


def bca_bootstrap(scores: Scores) -> Bounds:
    """Return BCa bootstrap intervals; they are points if all scores of a row are equal."""
    interval = stats.bootstrap(
        (scores,), np.mean, axis=-1, n_resamples=RESAMPLES, batch=50, rng=np.random.default_rng(0)
    ).confidence_interval
    return np.nan_to_num(interval.low, nan=-1), np.nan_to_num(interval.high, nan=-1)


def students(scores: Scores) -> Bounds:
    """Return Student's intervals."""
    n = scores.shape[1]
    margin = stats.t.isf(ALPHA / 2, n - 1) * scores.std(axis=1, ddof=1) / sqrt(n)
    return scores.mean(axis=1) - margin, scores.mean(axis=1) + margin


def wilsons(scores: Scores) -> Bounds:
    """Return Wilson's intervals for the number of wins and losses with the observed variance."""
    mean, variance = scores.mean(axis=1), scores.var(axis=1)
    effective = np.where(variance > 0, mean * (1 - mean) / np.maximum(variance, 1e-12), 1)
    number = effective * scores.shape[1]
    return proportion_confint(mean * number, number, ALPHA, method="wilson")


OTHER_METHODS: dict[str, Callable[[Scores], Bounds]] = {
    "Bayesian bootstrap": partial(bayesian_bootstrap, 0),
    "Learned-Miller and Thomas": partial(bayesian_bootstrap, 1),
    "BCa bootstrap": bca_bootstrap,
    "Student's t": students,
    "Wilson's with the observed variance": wilsons,
}


def measure() -> Figures:
    """Count how often the intervals contain the true value."""
    # Of the BCa bootstrap, if all scores are equal.
    warnings.simplefilter("ignore", stats.DegenerateDataWarning)
    return win_rate_figures() | difference_figures() | category_figures()


def win_rate_figures() -> Figures:
    """Count for win rates, by number of questions, by shape and by method."""
    places = list(product(SHAPES, QUESTIONS, MEANS))
    covered = {place: coverage(of_the_workflow, *place, SIMULATIONS) for place in places}
    figures: Figures = {}
    for n in QUESTIONS:
        some = {p: value for p, value in covered.items() if p[1] == n}
        figures |= extremes(f"win rate, n {n}", some)
        figures[f"win rate, n {n}: lowest at"] = Figure(text(min(some, key=some.__getitem__)))
        figures[f"win rate, n {n}: highest at"] = Figure(text(max(some, key=some.__getitem__)))
    for shape in SHAPES:
        some = {p: value for p, value in covered.items() if p[0] == shape and p[1] >= MANY}
        figures |= extremes(f"win rate, {shape}, n {MANY} or more", some)
    for name, method in OTHER_METHODS.items():
        for n in QUESTIONS:
            found = [
                coverage(method, shape, n, mean, FEW_SIMULATIONS)
                for shape, mean in product(SHAPES, MEANS)
            ]
            figures[f"{name}, n {n}: lowest coverage"] = Figure(min(found))
            figures[f"{name}, n {n}: highest coverage"] = Figure(max(found))
    return figures


def coverage(
    method: Callable[[Scores], Bounds], shape: str, n: int, mean: float, simulations: int
) -> float:
    """Return the share of a method's intervals that contain the mean."""
    chooser = np.random.default_rng([n, round(100 * mean), list(SHAPES).index(shape)])
    low, high = method(SHAPES[shape](chooser, mean, (simulations, n)))
    return float(np.mean((low <= mean) & (mean <= high)))


def extremes(label: str, covered: dict[tuple[str, int, float], float]) -> Figures:
    """Return the lowest and the highest coverage; the highest has a target if n is large."""
    many = all(n >= MANY for _, n, _ in covered)
    return {
        f"{label}: lowest coverage": Figure(min(covered.values()), at_least(within(0.93, -3))),
        f"{label}: highest coverage": Figure(
            max(covered.values()), at_most(within(0.98, 3)) if many else None
        ),
    }


def text(place: tuple[str, int, float]) -> str:
    """Return the shape and the mean of a simulation."""
    shape, _, mean = place
    return f"{shape}, {mean}"


def within(bound: float, errors: float, simulations: int = SIMULATIONS) -> float:
    """Return a bound of a coverage plus a number of standard errors of the simulation."""
    return round(bound + errors * sqrt(bound * (1 - bound) / simulations), 4)


def difference_figures() -> Figures:
    """Count for differences of two systems, and false alarms if there is none."""
    figures: Figures = {}
    for n in QUESTIONS:
        places = list(product(PAIRED_SHAPES, RATES, CHANGED))
        covered = [difference_coverage(n, *place) for place in places]
        figures[f"difference, n {n}: lowest coverage"] = Figure(
            min(covered), at_least(within(0.93, -3, FEW_SIMULATIONS))
        )
        figures[f"difference, n {n}: mean coverage"] = Figure(float(np.mean(covered)))
        equal = [
            1 - value
            for (_, (first, second), _), value in zip(places, covered, strict=True)
            if first == second
        ]
        figures[f"difference, n {n}: most false alarms"] = Figure(
            max(equal), at_most(within(0.07, 3, FEW_SIMULATIONS))
        )
    return figures


def difference_coverage(n: int, shape: str, rates: tuple[float, float], changed: float) -> float:
    """Return the share of intervals that contain the true difference of two systems."""
    chooser = np.random.default_rng([n, round(100 * changed), *(round(100 * r) for r in rates)])
    truth = (rates[0] - rates[1]) * changed
    covered = 0
    for seed in range(FEW_SIMULATIONS):
        first, second = (SHAPES[shape](chooser, rate, (n,)) for rate in rates)
        second = np.where(chooser.random(n) < changed, second, first)
        scores = pd.DataFrame({"first": first, "second": second})
        found, _ = mean_difference(scores, seed, RESAMPLES)
        covered += found.low <= truth <= found.high
    return covered / FEW_SIMULATIONS


def category_figures() -> Figures:
    """Count for the mean of the reproduction's categories."""
    figures: Figures = {}
    for n in DECIDED:
        covered = []
        for rates in CATEGORIES:
            chooser = np.random.default_rng([n, round(1000 * rates[0])])
            found = [
                macro_mean([chooser.random(n) < rate for rate in rates])
                for _ in range(FEW_SIMULATIONS)
            ]
            truth = np.mean(rates)
            covered.append(np.mean([each.low <= truth <= each.high for each in found]))
        figures[f"mean of categories, n {n} in each: lowest coverage"] = Figure(
            float(min(covered)), at_least(within(0.93, -3, FEW_SIMULATIONS))
        )
        figures[f"mean of categories, n {n} in each: highest coverage"] = Figure(
            float(max(covered))
        )
    return figures
