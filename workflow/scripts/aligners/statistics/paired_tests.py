"""Paired tests of two systems that were judged against one reference on the same questions.

The test and the interval of the difference are one method, that of aligners.statistics.intervals:
the p-value is below 0.05 if and only if the 95% interval excludes 0. For verdicts of 0 and 1, the
p-value is near McNemar's mid-P and not above the exact one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from aligners.statistics.intervals import (
    RESAMPLES,
    Estimate,
    estimate,
    resampled_means,
    unseen_strength,
)
from aligners.statistics.verdicts import TIE, preferences

# The names that the systems of a group share: backbone and reference.
Group = tuple[str, ...]


@dataclass(frozen=True)
class PairedTest:
    """A test of two systems.

    Attributes:
        group: the names that both systems share.
        first, second: the systems.
        difference: win rate of the first system minus that of the second, with its interval.
        p_value: of this test alone.
        adjusted: the p-value corrected for all tests made together.
    """

    group: Group
    first: str
    second: str
    difference: Estimate
    p_value: float
    adjusted: float


@dataclass(frozen=True)
class NamedTest:
    """An element of a file of paired tests: a test with the names of its group."""

    backbone: str
    reference: str
    first: str
    second: str
    difference: Estimate
    p_value: float
    adjusted: float


def paired_tests(
    groups: Mapping[Group, Mapping[str, pd.DataFrame]], seed: int, resamples: int = RESAMPLES
) -> list[PairedTest]:
    """Test every two systems of a group against each other; correct for the number of all tests.

    Two systems without a judged question in common are left out.

    Args:
        groups: for each group, the systems with their verdicts (see aligners.statistics.verdicts).
        seed: of the resamples.
        resamples: number of resamples of each test.
    """
    tests = []
    for group, systems in groups.items():
        for first, second in combinations(systems, 2):
            scores = common_preferences(systems[first], systems[second])
            if len(scores):
                tests.append((group, first, second, *mean_difference(scores, seed, resamples)))
    adjusted = holm([p_value for *_, p_value in tests])
    return [PairedTest(*test, corrected) for test, corrected in zip(tests, adjusted, strict=True)]


def common_preferences(first: pd.DataFrame, second: pd.DataFrame) -> pd.DataFrame:
    """Return the preferences of both systems, `first` and `second`, where both have one."""
    return pd.DataFrame(
        {
            name: preferences(verdicts).set_axis(verdicts["id"])
            for name, verdicts in (("first", first), ("second", second))
        }
    ).dropna()


def mean_difference(scores: pd.DataFrame, seed: int, resamples: int) -> tuple[Estimate, float]:
    """Return the mean difference with its interval, and the p-value of no difference.

    The unseen question is one where the verdicts on the two systems have opposite signs.

    Args:
        scores: the result of `common_preferences`.
        seed: of the resamples.
        resamples: number of resamples.
    """
    differences = (scores["first"] - scores["second"]).to_numpy(float)
    unseen = unseen_strength((scores - TIE).abs().sum(axis=1).to_numpy(float), strongest=1.0)
    generator = np.random.default_rng(seed)
    means = resampled_means(differences, -unseen, unseen, generator, resamples)
    difference = estimate(float(differences.mean()), means, len(differences))
    return difference, means.p_value(0)


def holm(p_values: list[float]) -> list[float]:
    """Return the p-values corrected for their number (Holm 1979).

    With a probability of at least 95%, none of those that are then at most 0.05 is a false alarm,
    even if the tests depend on each other.
    """
    return multipletests(p_values, method="holm")[1].tolist() if p_values else []
