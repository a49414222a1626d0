"""The win rate expected if both texts were equally long.

Judges prefer longer texts. A logistic regression of the preference on the difference of lengths is
fitted to the comparison and evaluated at difference zero. The idea and the squashed difference are
those of length-controlled AlpacaEval (Dubois et al. 2024, arXiv 2404.04475). AlpacaEval's
difficulty of each question is left out, because it is known for AlpacaEval's questions only.
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
MIN_OUTCOMES = 20


@dataclass(frozen=True)
class LengthControlled:
    """The rate at equal lengths, or None with the reason why it cannot be fitted."""

    rate: Estimate | None
    reason: str | None


def length_controlled_rate(verdicts: pd.DataFrame) -> LengthControlled:
    """Return the expected win rate if both texts were equally long; a tie counts as half.

    Questions with identical texts count as ties and are left out of the fit, which would otherwise
    take them for the judge's verdicts on different texts of equal length.

    Args:
        verdicts: a table as aligners.statistics.verdicts describes it.
    """
    preference = preferences(verdicts)
    difference = verdicts["length"] - verdicts["reference_length"]
    identical = verdicts["identical"].astype(bool)
    fitted = preference.notna() & ~identical
    scores, lengths = preference[fitted].to_numpy(float), difference[fitted].to_numpy(float)
    reason = reason_without_fit(scores, lengths)
    if reason:
        return LengthControlled(None, reason)
    return LengthControlled(rate_at_equal_length(scores, lengths, int(identical.sum())), None)


def reason_without_fit(scores: Scores, differences: NDArray[np.float64]) -> str | None:
    """Return why no regression can be fitted, or None if one can.

    Args:
        scores: preference of each question, 0 to 1.
        differences: length of the system's text minus that of the reference, for each question.
    """
    rarer = min(scores.sum(), (1 - scores).sum())
    if rarer < MIN_OUTCOMES:
        return (
            f"too few questions: {MIN_OUTCOMES} wins and {MIN_OUTCOMES} losses are needed (a tie "
            f"counts as half of each), and there are only {rarer:g} of one of them"
        )
    if np.ptp(scores) == 0:
        return "all verdicts are equal"
    if np.ptp(differences) == 0:
        return "the lengths always differ by the same number"
    if differences.min() > 0 or differences.max() < 0:
        side = "longer" if differences.min() > 0 else "shorter"
        return f"all texts of the system are {side}, so equal lengths were not observed"
    won, lost = differences[scores > 0], differences[scores < 1]
    # One predictor separates the outcomes if their ranges share at most one value (Albert and
    # Anderson 1984); the best coefficient is then infinite.
    if won.min() >= lost.max() or won.max() <= lost.min():
        return "the lengths alone determine every verdict"
    return None


def rate_at_equal_length(
    scores: Scores, differences: NDArray[np.float64], identical: int
) -> Estimate:
    """Fit the regression; return the rate at difference zero, with `identical` ties added.

    The interval is from the delta method on the log-odds, with a sandwich covariance (HC1), because
    verdicts with ties vary less than a binomial. It includes the sampling error of the share of
    identical texts.
    """
    squashed = np.tanh(differences / differences.std())
    design = np.column_stack([np.ones_like(squashed), squashed])  # questions x 2
    model = GLM(scores, design, family=Binomial()).fit(cov_type="HC1")
    n = len(scores) + identical
    fitted = float(expit(model.params[0]))
    weight = len(scores) / n
    rate = weight * fitted + (1 - weight) * TIE
    variance = model.cov_params()[0, 0] * (weight * fitted * (1 - fitted)) ** 2
    variance += (fitted - TIE) ** 2 * weight * (1 - weight) / n
    margin = norm.isf(ALPHA / 2) * np.sqrt(variance) / (rate * (1 - rate))
    low, high = expit(logit(rate) - margin), expit(logit(rate) + margin)
    return Estimate(float(rate), float(low), float(high), n)
