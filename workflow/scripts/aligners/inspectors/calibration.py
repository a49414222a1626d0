"""Calibration of a two-class classifier: the temperature, and the errors of its probabilities.

The log odds of a row are the logit of class 1 (aligned) minus that of class 0. Divided by the
temperature, they are calibrated: their logistic function is P(aligned).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import expit
from sklearn.model_selection import GroupKFold

# A temperature outside this range comes from too few rows, not from the classifier.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0
FOLDS = 5
CLASSES = ("misaligned", "aligned")

LogOdds = NDArray[np.floating]
Labels = NDArray[np.integer]


def fit_temperature(log_odds: LogOdds, labels: Labels, questions: Sequence[str]) -> float:
    """Return the temperature of the calibration.

    It is 1 unless another one lowers the cross-fitted log loss by more than the standard error of
    the difference (over questions), because a temperature that fits only noise does harm.

    Args:
        log_odds: of each row, not calibrated.
        labels: class of each row, 0 or 1.
        questions: id of each row's question. Rows of a question are in the same fold.
    """
    groups = np.unique(np.asarray(questions), return_inverse=True)[1]  # rows
    count = int(groups.max()) + 1
    if count < FOLDS:
        return 1.0
    gains = np.zeros(count)  # of the questions
    for rest, fold in GroupKFold(FOLDS).split(log_odds, groups=groups):
        fitted = best_temperature(log_odds[rest], labels[rest])
        plain, scaled = (log_losses(log_odds[fold] / t, labels[fold]) for t in (1.0, fitted))
        np.add.at(gains, groups[fold], plain - scaled)
    standard_error = np.sqrt(count) * gains.std(ddof=1)
    return best_temperature(log_odds, labels) if gains.sum() > standard_error else 1.0


def best_temperature(log_odds: LogOdds, labels: Labels) -> float:
    """Return the temperature that minimises the log loss for Platt's targets.

    The targets are (N1 + 1) / (N1 + 2) for the N1 rows of class 1, and 1 / (N0 + 2) for the N0 rows
    of class 0 (Platt 1999, Probabilistic outputs for support vector machines, section 2.2). With
    the targets 1 and 0, the temperature of a classifier without errors would be 0.
    """
    ones = int(labels.sum())
    targets = np.where(labels == 1, (ones + 1) / (ones + 2), 1 / (len(labels) - ones + 2))

    def loss(log_temperature: float) -> float:
        scaled = log_odds / np.exp(log_temperature)
        # The mean of -t log(p) - (1 - t) log(1 - p), in a form that does not overflow.
        return float((np.logaddexp(0, scaled) - targets * scaled).mean())

    bounds = (np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def log_losses(log_odds: LogOdds, labels: Labels) -> NDArray[np.floating]:
    """Return the log loss of each row, in nats."""
    losses: NDArray[np.floating] = np.logaddexp(0, np.where(labels == 1, -log_odds, log_odds))
    return losses


def choose_threshold(log_odds: LogOdds, labels: Labels, cost_of_false_alarm: float) -> float:
    """Return the threshold with the lowest cost on some rows, in calibrated log odds.

    A response at or above the threshold is left as it is. To correct an aligned one costs
    `cost_of_false_alarm`; to leave a misaligned one costs 1. Of several best thresholds, the one
    nearest to -log(cost_of_false_alarm) is returned. This is the best threshold if the
    probabilities are exact (Elkan 2001, The foundations of cost-sensitive learning).

    Args:
        log_odds: of each row, calibrated.
        labels: class of each row, 0 or 1.
        cost_of_false_alarm: greater than 0.
    """
    exact = np.log(1 / cost_of_false_alarm)
    distinct = np.unique(log_odds)  # in ascending order
    between = (distinct[:-1] + distinct[1:]) / 2
    outside = (distinct[0], np.nextafter(distinct[-1], np.inf))
    candidates = np.concatenate([[exact], outside, between])
    # Rows of each class below each candidate.
    aligned, misaligned = (
        np.searchsorted(np.sort(log_odds[labels == label]), candidates) for label in (1, 0)
    )
    costs = cost_of_false_alarm * aligned - misaligned
    best = candidates[np.isclose(costs, costs.min(), rtol=0, atol=1e-9)]
    return float(best[np.abs(best - exact).argmin()])


def expected_calibration_error(
    probabilities: NDArray[np.floating], labels: Labels, bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy (Guo et al. 2017).

    The gap is computed for each of `bins` equal ranges of confidence; a range counts in proportion
    to its rows.

    Args:
        probabilities: P(class 1) of each row.
        labels: class of each row, 0 or 1.
    """
    predicted = probabilities >= 0.5
    confidence = np.where(predicted, probabilities, 1 - probabilities)
    correct = predicted == labels.astype(bool)
    bin_of_row = np.minimum((confidence * bins).astype(int), bins - 1)
    error = 0.0
    for index in np.unique(bin_of_row):
        in_bin = bin_of_row == index  # rows
        error += in_bin.mean() * abs(confidence[in_bin].mean() - correct[in_bin].mean())
    return float(error)


def calibration_errors(log_odds: LogOdds, labels: Labels) -> dict[str, float | None]:
    """Return the errors of P(aligned): `brier`, `ece`, and `ece_misaligned` and `ece_aligned`.

    The last two are the calibration errors of the rows that are predicted to be of this class, and
    None without such rows. (The class-wise error of Kull et al. 2019 is the same for both of two
    classes.)

    Args:
        log_odds: of each row.
        labels: class of each row, 0 or 1.
    """
    probabilities = expit(log_odds)
    predicted = (probabilities >= 0.5).astype(int)
    of_class = {
        f"ece_{name}": expected_calibration_error(probabilities[rows], labels[rows])
        if (rows := predicted == number).any()
        else None
        for number, name in enumerate(CLASSES)
    }
    return {
        "brier": float(np.mean((probabilities - labels) ** 2)),
        "ece": expected_calibration_error(probabilities, labels),
        **of_class,
    }
