"""The win rate that would be expected between answers of equal length.

Judges like longer answers. A logistic regression of the preference on the difference of lengths is
fitted to the comparison itself, and evaluated at difference zero. The idea and the squashed
difference are those of length-controlled AlpacaEval (Dubois et al. 2024, arXiv 2404.04475); its
difficulty of each question is known for its own questions only, and left out.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import norm
from statsmodels.genmod.families import Binomial
from statsmodels.genmod.generalized_linear_model import GLM

from aligners.statistics.intervals import ALPHA, Estimate, Scores
from aligners.statistics.verdicts import TIE, preferences

# Ten of the rarer outcome for each of the two coefficients (Peduzzi et al. 1996).
FEWEST_OUTCOMES = 20


@dataclass(frozen=True)
class LengthControlled:
    """The rate at equal lengths, or None and the reason why it could not be fitted."""

    rate: Estimate | None
    reason: str | None


def length_controlled_rate(verdicts: pd.DataFrame) -> LengthControlled:
    """Return the expected win rate, ties as half, if answers were of equal length.

    Where the two answers are one text, ours unchanged and the reference the base answer, there is
    no length to control. Such questions count as the ties they are and stay out of the fit, which
    would take them for the judge's opinion of equally long answers.

    Args:
        verdicts: a table as aligners.statistics.verdicts describes it.
    """
    preference = preferences(verdicts)
    difference = verdicts["length"] - verdicts["reference_length"]
    same = verdicts["unchanged"].astype(bool) & (difference == 0) & (preference == TIE)
    fitted = preference.notna() & ~same
    scores, lengths = preference[fitted].to_numpy(float), difference[fitted].to_numpy(float)
    reason = reason_against(scores, lengths)
    if reason:
        return LengthControlled(None, reason)
    return LengthControlled(rate_at_equal_length(scores, lengths, int(same.sum())), None)


def reason_against(scores: Scores, differences: NDArray[np.float64]) -> str | None:
    """Return why no regression can be fitted, or None.

    Args:
        scores: preference of each question, 0 to 1.
        differences: length of our answer less that of the reference.
    """
    rarer = min(scores.sum(), (1 - scores).sum())
    if rarer < FEWEST_OUTCOMES:
        return (
            f"too few questions: {rarer:g} wins or losses, ties as half, "
            f"and {FEWEST_OUTCOMES} of each are needed"
        )
    if np.ptp(scores) == 0:
        return "all verdicts are equal"
    if np.ptp(differences) == 0:
        return "the lengths always differ by the same"
    if differences.min() > 0 or differences.max() < 0:
        side = "longer" if differences.min() > 0 else "shorter"
        return f"all our answers are {side}: nothing is known of answers of equal length"
    won, lost = differences[scores > 0], differences[scores < 1]
    # One predictor separates the outcomes if their ranges meet in one value at most (Albert and
    # Anderson 1984); the best coefficient is then infinite.
    if won.min() >= lost.max() or won.max() <= lost.min():
        return "the lengths alone decide every verdict"
    return None


def rate_at_equal_length(scores: Scores, differences: NDArray[np.float64], same: int) -> Estimate:
    """Fit the regression; return the rate at difference zero, `same` ties included.

    The interval is by the delta method on the log-odds, with a sandwich covariance (HC1): verdicts
    with ties vary less than the binomial assumes. It includes that the share of ties is a sample.
    """
    squashed = np.tanh(differences / differences.std())
    design = np.column_stack([np.ones_like(squashed), squashed])
    model = GLM(scores, design, family=Binomial()).fit(cov_type="HC1")
    n = len(scores) + same
    fitted = float(expit(model.params[0]))
    compared = len(scores) / n
    rate = compared * fitted + (1 - compared) * TIE
    variance = model.cov_params()[0, 0] * (compared * fitted * (1 - fitted)) ** 2
    variance += (fitted - TIE) ** 2 * compared * (1 - compared) / n
    margin = norm.isf(ALPHA / 2) * np.sqrt(variance) / (rate * (1 - rate))
    low, high = expit(logit(rate) - margin), expit(logit(rate) + margin)
    return Estimate(float(rate), float(low), float(high), n)
