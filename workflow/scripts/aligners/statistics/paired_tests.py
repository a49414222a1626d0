"""Tests of systems against each other, judged against one reference on the same questions."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.stats import permutation_test
from statsmodels.stats.multitest import multipletests

from aligners.statistics.intervals import BATCH, RESAMPLES, Estimate, Scores, mean_score
from aligners.statistics.verdicts import preferences

# What all systems of a group have in common: backbone and reference.
Group = tuple[str, ...]


@dataclass(frozen=True)
class PairedTest:
    """`difference`: win rate of the first system less that of the second, with its interval.

    `group` tells what both were judged against. `adjusted` is the p-value after correction for all
    tests made together.
    """

    group: Group
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
        groups: by what their systems were judged against, systems with their verdicts (see
            aligners.statistics.verdicts).
        seed: decides the resamples.
        resamples: of each permutation test and of each interval.
    """
    found = []
    for group, systems in groups.items():
        for first, second in combinations(systems, 2):
            differences = paired_differences(systems[first], systems[second])
            if len(differences):
                interval = mean_score(differences, seed, lowest=-1.0, resamples=resamples)
                p_value = sign_flip_p_value(differences, seed, resamples)
                found.append((group, first, second, interval, p_value))
    adjusted = holm([p_value for *_, p_value in found])
    return [PairedTest(*test, corrected) for test, corrected in zip(found, adjusted, strict=True)]


def paired_differences(first: pd.DataFrame, second: pd.DataFrame) -> Scores:
    """Return the first system's preference less the second's, of questions that both have."""
    ours, others = (
        preferences(verdicts).set_axis(verdicts["id"]).dropna() for verdicts in (first, second)
    )
    common = ours.index.intersection(others.index, sort=False)
    return (ours[common] - others[common]).to_numpy(dtype=float)


def sign_flip_p_value(differences: Scores, seed: int, resamples: int = RESAMPLES) -> float:
    """Return the two-sided p-value of a permutation test of the mean difference.

    If the systems are equally good, exchanging the two verdicts of a question changes nothing but
    the sign of their difference (Fisher 1935). Wilcoxon's test would compare ranks,
    and most differences of verdicts are tied; this one compares what is reported, the means.
    """
    moved = differences[differences != 0]  # No flip changes the others.
    if len(moved) < 2:  # One question's two flips differ equally much.
        return 1.0
    result = permutation_test(
        (moved,),
        np.sum,
        permutation_type="samples",
        n_resamples=resamples,
        batch=BATCH,
        rng=np.random.default_rng(seed),
    )
    return float(result.pvalue)


def holm(p_values: list[float]) -> list[float]:
    """Return the p-values corrected for their number (Holm 1979).

    Of those at most 0.05 afterwards, with 95% none is a false alarm, however the tests depend on
    one another.
    """
    return multipletests(p_values, method="holm")[1].tolist() if p_values else []
