"""The rates of one comparison with 95% intervals, overall and by category.

docs/evaluation.md explains what each rate means and what it does not mean.
"""

from dataclasses import dataclass

import pandas as pd

from aligners.statistics.intervals import NO_ESTIMATE, RESAMPLES, Estimate, mean_score, share
from aligners.statistics.length_control import LengthControlled, length_controlled_rate
from aligners.statistics.verdicts import ORDERS, TIE, check_verdicts, preferences

UNCATEGORISED = "uncategorised"


@dataclass(frozen=True)
class Outcomes:
    """Numbers of questions that the system won, tied and lost; `unusable` ones have no verdict."""

    wins: int
    ties: int
    losses: int
    unusable: int


@dataclass(frozen=True)
class Comparison:
    """All figures of one comparison.

    Attributes:
        outcomes: wins, ties and losses.
        win_rate: a tie counts as half.
        length_controlled: the win rate at equal lengths.
        by_category: the win rate of each category.
        flip_rate: share of questions whose two orders prefer different texts.
        copy_rate: share of responses that the system left unchanged.
        harm_rate: among the responses that the system changed, the share that the judge preferred
            before the change; only if the reference is the base LLM.
        longer_won: among the decided questions with texts of unequal length, the share that the
            longer text won.
        mean_length, mean_reference_length: means over all questions.
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


@dataclass(frozen=True)
class NamedRate:
    """AlpacaEval's own rate in a comparison file (see AlpacaEvalRate)."""

    rate: float | None
    standard_error: float | None
    reason: str | None


@dataclass(frozen=True)
class NamedComparison(Comparison):
    """The content of a comparison file: the figures with their names."""

    judge: str
    dataset: str
    llm: str
    backbone: str
    system: str
    reference: str
    alpaca_eval: NamedRate


def compare(verdicts: pd.DataFrame, seed: int, *, against_base: bool) -> Comparison:
    """Return all figures of a comparison.

    Args:
        verdicts: a table as aligners.statistics.verdicts describes it.
        against_base: whether the reference is the base LLM, whose responses the system corrects.
        seed: of the resamples of the intervals.

    Raises:
        ValueError: the table is not as described.
    """
    check_verdicts(verdicts)
    preference = preferences(verdicts)
    side = preference - TIE
    changed = preference[~verdicts["unchanged"].astype(bool)].dropna()
    # Signs of both orders. A tie in one of them is not a flip.
    sides = verdicts[ORDERS].dropna() - TIE
    agreement = (side * (verdicts["length"] - verdicts["reference_length"])).dropna()
    return Comparison(
        outcomes=Outcomes(
            wins=int((side > 0).sum()),
            ties=int((side == 0).sum()),
            losses=int((side < 0).sum()),
            unusable=int(side.isna().sum()),
        ),
        win_rate=win_rate(verdicts, seed),
        length_controlled=length_controlled_rate(verdicts),
        by_category=category_rates(verdicts, seed),
        flip_rate=share(sides["first_order"] * sides["second_order"] < 0),
        copy_rate=share(verdicts["unchanged"]),
        harm_rate=share(changed < TIE) if against_base else NO_ESTIMATE,
        longer_won=share(agreement[agreement != 0] > 0),
        mean_length=mean_length(verdicts["length"]),
        mean_reference_length=mean_length(verdicts["reference_length"]),
    )


def win_rate(verdicts: pd.DataFrame, seed: int, resamples: int = RESAMPLES) -> Estimate:
    """Return the mean preference over questions with a verdict.

    If all preferences are 0, 0.5 or 1, it is the share of questions won, a tie counted as half.
    """
    preference = preferences(verdicts).dropna().to_numpy(dtype=float)
    return mean_score(preference, seed, resamples=resamples)


def category_rates(verdicts: pd.DataFrame, seed: int) -> dict[str, Estimate]:
    """Return the win rate of each category, by name; empty if no question has a category.

    If only some questions have a category, the others count as `uncategorised`.
    """
    if verdicts["category"].isna().all():
        return {}
    groups = verdicts.groupby(verdicts["category"].fillna(UNCATEGORISED))
    return {str(name): win_rate(group, seed) for name, group in groups}


def mean_length(lengths: pd.Series) -> float | None:
    """Return the mean of lengths, or None if there are none."""
    return float(lengths.mean()) if len(lengths) else None
