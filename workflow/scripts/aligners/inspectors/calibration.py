"""Temperature scaling of a two-class classifier, and its calibration error (Guo et al. 2017)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

# A temperature outside this range comes from too few rows, not from the classifier.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.1, 10.0

Logits = NDArray[np.floating]
Labels = NDArray[np.integer]


def fit_temperature(logits: Logits, labels: Labels) -> float:
    """Return the temperature that minimises the negative log-likelihood of the labels.

    Args:
        logits: rows x classes.
        labels: class of each row, 0 or 1.
    """
    rows = np.arange(len(labels))

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)  # rows x classes
        return float(-scaled[rows, labels].mean())

    bounds = (np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE))
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def aligned_probability(logits: Logits, temperature: float) -> NDArray[np.floating]:
    """Return P(aligned), the calibrated probability of class 1, for each row of logits."""
    probabilities: NDArray[np.floating] = softmax(logits / temperature, axis=1)  # rows x 2
    return probabilities[:, 1]


def expected_calibration_error(
    probabilities: NDArray[np.floating], labels: Labels, bins: int = 15
) -> float:
    """Return the mean gap between confidence and accuracy.

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
