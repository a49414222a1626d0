"""Whether the statistics of an evaluation are right, on verdicts of judges whose mind is known.

A simulated judge has an opinion of each question, the same in both orders; a bias for the first
position, a liking for length, and noise of each verdict; and it calls a tie what is near. Its true
win rate follows from the normal distribution.
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
# Fewer than an evaluation takes: enough for 95% intervals, and in minutes.
RESAMPLES = 1000
# Tests of systems that are alike: each simulation tests all pairs of them.
FAMILIES, SYSTEMS, FAMILY_QUESTIONS = 600, 4, 100
# What the liking for length adds to the win rate.
LENGTH_BIAS = 0.15
COVERED = Target("0.93 to 0.97", lambda value: 0.93 <= value <= 0.97)
# Ours are longer by this factor, on average, and vary by so much, as logarithms.
LONGER, SPREAD = 0.3, 0.4


@dataclass(frozen=True)
class Judge:
    """A judge of answers; all but `tie` are in units of the opinion's standard deviation."""

    quality: float
    position_bias: float = 0.4
    noise: float = 0.6
    tie: float = 0.25
    liking: float = 0.0

    def expected(self, pull: np.ndarray) -> np.ndarray:
        """Return the expected preference where length pulls so much, as the mean of both orders."""
        deviation = np.hypot(1, self.noise)
        sides = [self.quality + self.liking * pull + bias for bias in self.biases()]
        parts = [norm.sf(edge, side, deviation) for side in sides for edge in (self.tie, -self.tie)]
        return np.mean(parts, axis=0)

    def biases(self) -> tuple[float, float]:
        """Return what the position adds to our side, in the first and in the second order."""
        return self.position_bias, -self.position_bias

    def judge(
        self, lengths: np.ndarray, opinions: np.ndarray, chooser: np.random.Generator
    ) -> pd.DataFrame:
        """Return verdicts on questions; lengths: questions x (ours, reference)."""
        table = {
            "id": [str(number) for number in range(len(lengths))],
            "category": None,
            "length": lengths[:, 0],
            "reference_length": lengths[:, 1],
            "unchanged": False,
        }
        for order, bias in zip(("first_order", "second_order"), self.biases(), strict=True):
            seen = self.quality + opinions + self.liking * pull_of(lengths) + bias
            seen = seen + chooser.normal(0, self.noise, len(seen))
            table[order] = np.where(np.abs(seen) < self.tie, 0.5, (seen > 0).astype(float))
        return pd.DataFrame(table)


def pull_of(lengths: np.ndarray) -> np.ndarray:
    """Return how length pulls: by the logarithm of the ratio, not as the regression has it."""
    return np.log(lengths[:, 0] / lengths[:, 1])


def draw_lengths(number: int, chooser: np.random.Generator) -> np.ndarray:
    """Return the lengths of our answers and of the reference's, in characters."""
    reference = chooser.lognormal(6, SPREAD, number)
    return np.column_stack([reference * chooser.lognormal(LONGER, SPREAD, number), reference])


def measure() -> Figures:
    """Count how often intervals cover the truth and tests raise false alarms; compare rates."""
    figures: dict[str, Figure] = {}
    for name, quality in (("even", 0.0), ("clear", 0.6), ("near all won", 2.0)):
        judge = Judge(quality)
        truth = float(judge.expected(np.zeros(1))[0])
        for number in QUESTIONS if name == "clear" else QUESTIONS[:1]:
            estimates = simulate(judge, number, rate_of)
            label = f"win rate {truth:.2f}, n {number}: intervals that cover it"
            figures[label] = Figure(coverage(estimates, truth), COVERED)
    figures |= length_figures()
    figures["systems alike: families with a false alarm"] = Figure(
        false_alarms(), at_most(0.05 + 2 * sqrt(0.05 * 0.95 / FAMILIES))
    )
    figures["systems alike: families tested"] = Figure(FAMILIES)
    return figures


def rate_of(verdicts: pd.DataFrame, seed: int) -> Estimate:
    """Return the win rate with the interval of fewer resamples."""
    return win_rate(verdicts, seed, RESAMPLES)


def controlled_rate_of(verdicts: pd.DataFrame, _: int) -> Estimate | None:
    """Return the length-controlled win rate."""
    return length_controlled_rate(verdicts).rate


def simulate(
    judge: Judge, number: int, estimate: Callable[[pd.DataFrame, int], Estimate | None]
) -> list[Estimate]:
    """Return the estimates of all simulated comparisons of so many questions."""
    found = []
    for seed in range(SIMULATIONS):
        chooser = np.random.default_rng([seed, number])
        opinions = chooser.normal(size=number)
        verdicts = judge.judge(draw_lengths(number, chooser), opinions, chooser)
        found.append(estimate(verdicts, seed))
    return [each for each in found if each is not None]


def coverage(estimates: list[Estimate], truth: float) -> float:
    """Return the share of intervals that cover the truth."""
    return float(np.mean([each.low <= truth <= each.high for each in estimates]))


def length_figures() -> Figures:
    """Compare the length-controlled rate with that of the same judge without a liking."""
    fair = Judge(0.2)
    truth = float(fair.expected(np.zeros(1))[0])
    many = pull_of(draw_lengths(1_000_000, np.random.default_rng(0)))

    def excess(liking: float) -> float:
        return float(replace(fair, liking=liking).expected(many).mean()) - truth - LENGTH_BIAS

    judge = replace(fair, liking=brentq(excess, 0, 10))
    figures = {"length: planted rate at equal lengths": Figure(truth)}
    for number in QUESTIONS:
        estimates = simulate(judge, number, controlled_rate_of)
        label = f"length, n {number}"
        mean = float(np.mean([each.value for each in estimates]))
        figures[f"{label}: mean controlled rate"] = Figure(mean)
        figures[f"{label}: distance from the planted"] = Figure(abs(mean - truth), at_most(0.02))
        figures[f"{label}: intervals that cover it"] = Figure(coverage(estimates, truth), COVERED)
        figures[f"{label}: comparisons without a rate"] = Figure(SIMULATIONS - len(estimates))
    chooser = np.random.default_rng(1)
    raw = judge.judge(draw_lengths(100_000, chooser), chooser.normal(size=100_000), chooser)
    moved = raw[["first_order", "second_order"]].to_numpy().mean() - truth
    return figures | {"length: the raw rate is off by": Figure(float(moved))}


def false_alarms() -> float:
    """Return the share of families in which some test finds a difference; there is none."""
    judge = Judge(0.3)
    families = []
    for seed in range(FAMILIES):
        chooser = np.random.default_rng(seed)
        lengths = draw_lengths(FAMILY_QUESTIONS, chooser)
        shared = chooser.normal(size=FAMILY_QUESTIONS)
        comparisons = {}
        for system in range(SYSTEMS):
            # What the questions have in common, and what is the system's own, of variance 1.
            opinions = np.sqrt(0.5) * (shared + chooser.normal(size=FAMILY_QUESTIONS))
            comparisons[str(system)] = judge.judge(lengths, opinions, chooser)
        tests = paired_tests({(): comparisons}, seed, RESAMPLES)
        families.append(any(test.adjusted <= 0.05 for test in tests))
    return float(np.mean(families))
