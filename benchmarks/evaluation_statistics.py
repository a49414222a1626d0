"""Checks the statistics of an evaluation on verdicts of simulated judges with known win rates.

A simulated judge has an opinion on each question, which is the same in both orders. To it are added
a bias for the first position, a preference for long answers, and noise. A small sum is a tie. The
true win rate follows from the normal distribution.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import sqrt

import numpy as np
import pandas as pd
from figures import Figure, Figures, Target, at_most
from scipy.optimize import brentq
from scipy.stats import norm

from aligners.statistics.comparison import win_rate
from aligners.statistics.intervals import Estimate
from aligners.statistics.length_control import length_controlled_rate
from aligners.statistics.paired_tests import paired_tests

SIMULATIONS = 2000
QUESTIONS = (100, 400, 800)
# Fewer than in an evaluation, but enough for 95% intervals, in minutes.
RESAMPLES = 1000
# Tests of systems without a difference: each simulation tests all pairs of them.
FAMILIES, SYSTEMS, FAMILY_QUESTIONS = 600, 4, 100
# Increase of the win rate by the preference for length.
LENGTH_BIAS = 0.15
COVERED = Target("0.93 to 0.97", lambda value: 0.93 <= value <= 0.97)
# Mean and standard deviation of the logarithm of our length over the reference's.
LONGER, SPREAD = 0.3, 0.4


@dataclass(frozen=True)
class Judge:
    """A judge of answers; all but `tie` are in units of the opinion's standard deviation."""

    quality: float
    position_bias: float = 0.4
    noise: float = 0.6
    tie: float = 0.25
    length_preference: float = 0.0

    def expected(self, length_effects: np.ndarray) -> np.ndarray:
        """Return the expected preference as the mean of both orders.

        Args:
            length_effects: from `length_effect`, shape (questions,).
        """
        deviation = np.hypot(1, self.noise)
        means = [
            self.quality + self.length_preference * length_effects + bias for bias in self.biases()
        ]
        # P(win) + P(tie) / 2 is the mean of the probabilities beyond both edges of a tie.
        tails = [norm.sf(edge, mean, deviation) for mean in means for edge in (self.tie, -self.tie)]
        return np.mean(tails, axis=0)

    def biases(self) -> tuple[float, float]:
        """Return the position's effect on our answer in the first and in the second order."""
        return self.position_bias, -self.position_bias

    def judge(
        self, lengths: np.ndarray, opinions: np.ndarray, chooser: np.random.Generator
    ) -> pd.DataFrame:
        """Return verdicts on the questions.

        Args:
            lengths: of our answers and the reference's, shape (questions, 2).
            opinions: shape (questions,).
            chooser: for the noise.
        """
        table = {
            "id": [str(number) for number in range(len(lengths))],
            "category": None,
            "length": lengths[:, 0],
            "reference_length": lengths[:, 1],
            "unchanged": False,
            "identical": False,
        }
        for order, bias in zip(("first_order", "second_order"), self.biases(), strict=True):
            total = self.quality + opinions + self.length_preference * length_effect(lengths) + bias
            total = total + chooser.normal(0, self.noise, len(total))
            table[order] = np.where(np.abs(total) < self.tie, 0.5, (total > 0).astype(float))
        return pd.DataFrame(table)


def length_effect(lengths: np.ndarray) -> np.ndarray:
    """Return the logarithm of the ratio of lengths; the regression under test uses another form."""
    return np.log(lengths[:, 0] / lengths[:, 1])


def draw_lengths(number: int, chooser: np.random.Generator) -> np.ndarray:
    """Return the lengths of our answers and the reference's in characters, shape (number, 2)."""
    reference = chooser.lognormal(6, SPREAD, number)
    return np.column_stack([reference * chooser.lognormal(LONGER, SPREAD, number), reference])


def measure() -> Figures:
    """Count how often intervals cover the truth and tests give false alarms; compare rates."""
    figures: dict[str, Figure] = {}
    for name, quality in (("even", 0.0), ("clear", 0.6), ("near all won", 2.0)):
        judge = Judge(quality)
        truth = float(judge.expected(np.zeros(1))[0])
        for number in QUESTIONS if name == "clear" else QUESTIONS[:1]:
            estimates = simulate(judge, number, rate_of)
            label = f"win rate {truth:.2f}, n {number}: intervals that cover it"
            figures[label] = Figure(coverage(estimates, truth), COVERED)
    figures |= length_figures()
    figures["equal systems: families with a false alarm"] = Figure(
        false_alarms(), at_most(0.05 + 2 * sqrt(0.05 * 0.95 / FAMILIES))
    )
    figures["equal systems: families tested"] = Figure(FAMILIES)
    return figures


def rate_of(verdicts: pd.DataFrame, seed: int) -> Estimate:
    """Return the win rate, with fewer resamples."""
    return win_rate(verdicts, seed, RESAMPLES)


def controlled_rate_of(verdicts: pd.DataFrame, _: int) -> Estimate | None:
    """Return the length-controlled win rate."""
    return length_controlled_rate(verdicts).rate


def simulate(
    judge: Judge, number: int, estimate: Callable[[pd.DataFrame, int], Estimate | None]
) -> list[Estimate]:
    """Return the estimates of all simulated comparisons with `number` questions."""
    estimates = []
    for seed in range(SIMULATIONS):
        chooser = np.random.default_rng([seed, number])
        opinions = chooser.normal(size=number)
        verdicts = judge.judge(draw_lengths(number, chooser), opinions, chooser)
        estimates.append(estimate(verdicts, seed))
    return [each for each in estimates if each is not None]


def coverage(estimates: list[Estimate], truth: float) -> float:
    """Return the share of intervals that cover the truth."""
    return float(np.mean([each.low <= truth <= each.high for each in estimates]))


def length_figures() -> Figures:
    """Compare the length-controlled rate with that of the same judge without the preference."""
    fair = Judge(0.2)
    truth = float(fair.expected(np.zeros(1))[0])
    effects = length_effect(draw_lengths(1_000_000, np.random.default_rng(0)))

    def excess(preference: float) -> float:
        biased = replace(fair, length_preference=preference)
        return float(biased.expected(effects).mean()) - truth - LENGTH_BIAS

    judge = replace(fair, length_preference=brentq(excess, 0, 10))
    figures = {"length: true rate at equal lengths": Figure(truth)}
    for number in QUESTIONS:
        estimates = simulate(judge, number, controlled_rate_of)
        label = f"length, n {number}"
        mean = float(np.mean([each.value for each in estimates]))
        figures[f"{label}: mean controlled rate"] = Figure(mean)
        figures[f"{label}: distance from the true rate"] = Figure(abs(mean - truth), at_most(0.02))
        figures[f"{label}: intervals that cover the true rate"] = Figure(
            coverage(estimates, truth), COVERED
        )
        figures[f"{label}: comparisons without a rate"] = Figure(SIMULATIONS - len(estimates))
    chooser = np.random.default_rng(1)
    raw = judge.judge(draw_lengths(100_000, chooser), chooser.normal(size=100_000), chooser)
    error = raw[["first_order", "second_order"]].to_numpy().mean() - truth
    return figures | {"length: error of the raw rate": Figure(float(error))}


def false_alarms() -> float:
    """Return the share of families in which a test reports a difference, though none exists."""
    judge = Judge(0.3)
    families = []
    for seed in range(FAMILIES):
        chooser = np.random.default_rng(seed)
        lengths = draw_lengths(FAMILY_QUESTIONS, chooser)
        shared = chooser.normal(size=FAMILY_QUESTIONS)
        comparisons = {}
        for system in range(SYSTEMS):
            # A part shared by all systems plus a part of the system's own; variance 1 in total.
            opinions = np.sqrt(0.5) * (shared + chooser.normal(size=FAMILY_QUESTIONS))
            comparisons[str(system)] = judge.judge(lengths, opinions, chooser)
        tests = paired_tests({(): comparisons}, seed, RESAMPLES)
        families.append(any(test.adjusted <= 0.05 for test in tests))
    return float(np.mean(families))
