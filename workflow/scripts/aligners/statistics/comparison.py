"""The rates of one comparison with 95% intervals, overall and by category.

docs/evaluation.md explains what each rate means and what it does not mean.
"""

from dataclasses import dataclass

import pandas as pd

from aligners.statistics.intervals import NOTHING, RESAMPLES, Estimate, mean_score, share
from aligners.statistics.length_control import LengthControlled, length_controlled_rate
from aligners.statistics.verdicts import ORDERS, TIE, check_verdicts, preferences

UNCATEGORISED = "uncategorised"


@dataclass(frozen=True)
class Outcomes:
    """On how many questions our answer won, tied and lost; `unusable` ones have no verdict."""

    wins: int
    ties: int
    losses: int
    unusable: int


@dataclass(frozen=True)
class Comparison:
    """All figures of one comparison.

    `win_rate` counts ties as half. `flip_rate`: questions whose two orders prefer different
    texts. `longer_won`: of the decided questions with answers of unequal length, those that
    the longer answer won. `copy_rate`: answers left unchanged. `harm_rate`, against the base
    answers alone: of the answers that the system changed, those that the judge liked better
    before. Lengths are means over all questions.
    """

    outcomes: Outcomes
    win_rate: Estimate
    length_controlled: LengthControlled
    by_category: dict[str, Estimate]
    flip_rate: Estimate
    copy_rate: Estimate
    harm_rate: Estimate
    longer_won: Estimate
    mean_length: float | None
    mean_reference_length: float | None


def compare(verdicts: pd.DataFrame, seed: int, *, against_base: bool) -> Comparison:
    """Return all figures of a comparison.

    Args:
        verdicts: a table as aligners.statistics.verdicts describes it.
        against_base: whether the reference is the base LLM, whose answers the system corrects.
        seed: decides the resamples of the intervals.

    Raises:
        ValueError: the table is not as described.
    """
    check_verdicts(verdicts)
    return Comparison(
        outcomes=count_outcomes(verdicts),
        win_rate=win_rate(verdicts, seed),
        length_controlled=length_controlled_rate(verdicts),
        by_category=category_rates(verdicts, seed),
        flip_rate=flip_rate(verdicts),
        copy_rate=share(verdicts["unchanged"]),
        harm_rate=harm_rate(verdicts) if against_base else NOTHING,
        longer_won=longer_won(verdicts),
        mean_length=mean_length(verdicts["length"]),
        mean_reference_length=mean_length(verdicts["reference_length"]),
    )


def count_outcomes(verdicts: pd.DataFrame) -> Outcomes:
    """Return the counts; a question is won if the mean of its orders is above 0.5."""
    preference = preferences(verdicts)
    return Outcomes(
        wins=int((preference > TIE).sum()),
        ties=int((preference == TIE).sum()),
        losses=int((preference < TIE).sum()),
        unusable=int(preference.isna().sum()),
    )


def win_rate(verdicts: pd.DataFrame, seed: int, resamples: int = RESAMPLES) -> Estimate:
    """Return the mean preference over questions with a verdict.

    Where verdicts are whole, it is the share of verdicts won, ties as half.
    """
    return mean_preference(preferences(verdicts), seed, resamples)


def mean_preference(preference: pd.Series, seed: int, resamples: int = RESAMPLES) -> Estimate:
    """Return the mean of preferences; questions without a verdict are left out."""
    return mean_score(preference.dropna().to_numpy(dtype=float), seed, resamples=resamples)


def category_rates(verdicts: pd.DataFrame, seed: int) -> dict[str, Estimate]:
    """Return the win rate of each category, by name; empty if no question has a category.

    Questions without one among others that have one count as `uncategorised`, so that n adds up.
    """
    if verdicts["category"].isna().all():
        return {}
    groups = preferences(verdicts).groupby(verdicts["category"].fillna(UNCATEGORISED), sort=True)
    return {str(name): mean_preference(group, seed) for name, group in groups}


def flip_rate(verdicts: pd.DataFrame) -> Estimate:
    """Return the share of questions whose two orders prefer different texts.

    A tie in one order is no flip. Only questions with a usable verdict in both orders count.
    """
    sides = verdicts[ORDERS].dropna() - TIE
    return share(sides["first_order"] * sides["second_order"] < 0)


def harm_rate(verdicts: pd.DataFrame) -> Estimate:
    """Return the share of changed answers whose original the judge prefers.

    Args:
        verdicts: of answers against the base answers that they were made of.
    """
    changed = preferences(verdicts)[~verdicts["unchanged"].astype(bool)].dropna()
    return share(changed < TIE)


def longer_won(verdicts: pd.DataFrame) -> Estimate:
    """Return the share of decided questions with unequal lengths that the longer answer won."""
    side = preferences(verdicts) - TIE
    longer = verdicts["length"] - verdicts["reference_length"]
    agreement = (side * longer).dropna()
    return share(agreement[agreement != 0] > 0)


def mean_length(lengths: pd.Series) -> float | None:
    """Return the mean of lengths, or None of nothing."""
    return float(lengths.mean()) if len(lengths) else None
