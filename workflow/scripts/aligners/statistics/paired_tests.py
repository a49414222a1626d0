"""Paired tests of two systems that were judged against one reference on the same questions."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from aligners.statistics.intervals import BATCH, RESAMPLES, Estimate, Scores, mean_score
from aligners.statistics.verdicts import preferences

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
        resamples: number of resamples of each permutation test and of each interval.
    """
    tests = []
    for group, systems in groups.items():
        for first, second in combinations(systems, 2):
            differences = paired_differences(systems[first], systems[second])
            if len(differences):
                interval = mean_score(differences, seed, lowest=-1.0, resamples=resamples)
                p_value = sign_flip_p_value(differences, seed, resamples)
                tests.append((group, first, second, interval, p_value))
    adjusted = holm([p_value for *_, p_value in tests])
    return [PairedTest(*test, corrected) for test, corrected in zip(tests, adjusted, strict=True)]


def paired_differences(first: pd.DataFrame, second: pd.DataFrame) -> Scores:
    """Return the first system's preference minus the second's, for each question of both."""
    first_scores, second_scores = (
        preferences(verdicts).set_axis(verdicts["id"]).dropna() for verdicts in (first, second)
    )
    common = first_scores.index.intersection(second_scores.index, sort=False)
    return (first_scores[common] - second_scores[common]).to_numpy(dtype=float)


def sign_flip_p_value(differences: Scores, seed: int, resamples: int = RESAMPLES) -> float:
    """Return the two-sided p-value of a permutation test of the mean difference.

    If the systems are equally good, exchanging the two verdicts of a question changes only the
    sign of their difference (Fisher 1935). This test compares means, which are what is reported.
    Wilcoxon's test would compare ranks, and most differences of verdicts are tied.
    """
    nonzero = differences[differences != 0]  # A sign flip does not change a zero.
    if len(nonzero) < 2:  # Both signs of a single difference are equally extreme.
        return 1.0
    result = permutation_test(
        (nonzero,),
        np.sum,
        permutation_type="samples",
        n_resamples=resamples,
        batch=BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def holm(p_values: list[float]) -> list[float]:
    """Return the p-values corrected for their number (Holm 1979).

    With a probability of at least 95%, none of those that are then at most 0.05 is a false alarm,
    even if the tests depend on each other.
    """
    return multipletests(p_values, method="holm")[1].tolist() if p_values else []
