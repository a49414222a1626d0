"""Calibration of inspectors: temperature, threshold and calibration errors."""

from typing import Any

import numpy as np
import pytest

from aligners.inspectors.calibration import (
    calibration_errors,
    choose_threshold,
    expected_calibration_error,
    fit_temperature,
)


def drawn(count: int, factor: float, seed: int = 0) -> tuple[Any, Any, list[str]]:
    """Return log odds that are `factor` times too large, labels, and the ids of questions."""
    rng = np.random.default_rng(seed)
    truth = 2 * rng.normal(size=count)
    labels = (rng.random(count) < 1 / (1 + np.exp(-truth))).astype(int)
    return factor * truth, labels, [str(number // 2) for number in range(count)]


def test_calibration_corrects_overconfident_log_odds() -> None:
    log_odds, labels, questions = drawn(4000, 4)
    temperature = fit_temperature(log_odds[:2000], labels[:2000], questions[:2000])
    assert temperature == pytest.approx(4, rel=0.2)
    before, after = (
        calibration_errors(log_odds[2000:] / t, labels[2000:]) for t in (1, temperature)
    )
    assert after["ece"] < 0.04 < before["ece"]  # type: ignore[operator]
    assert after["brier"] < before["brier"]  # type: ignore[operator]


@pytest.mark.parametrize("factor", [0.3, 3])
def test_another_temperature_than_1_needs_evidence(factor: float) -> None:
    """Many rows are evidence; rows of one question, or few rows, are not."""
    assert fit_temperature(*drawn(2000, factor)) == pytest.approx(factor, rel=0.2)
    log_odds, labels, _ = drawn(2000, factor)
    assert fit_temperature(log_odds, labels, ["one"] * 2000) == 1
    slightly = 1 + (factor - 1) / 20
    temperatures = [fit_temperature(*drawn(60, slightly, seed)) for seed in range(20)]
    assert temperatures.count(1) >= 13


@pytest.mark.parametrize("count", [20, 400])
def test_rows_without_errors_keep_the_doubt_of_their_number(count: int) -> None:
    """Platt's targets: N rows of a class without an error do not show fewer than 1 in N + 2."""
    labels, questions = np.arange(count) % 2, [str(row // 2) for row in range(count)]
    temperature = fit_temperature(np.where(labels == 1, 1.0, -1.0), labels, questions)
    assert 1 / temperature == pytest.approx(np.log(count / 2 + 1), rel=1e-3)
    # Log odds that are larger already are not made smaller, because no error shows that they are
    # too large.
    assert fit_temperature(np.where(labels == 1, 12.0, -12.0), labels, questions) == 1


def test_rows_of_one_label_can_be_calibrated() -> None:
    log_odds = np.linspace(1, 12, 20)
    temperature = fit_temperature(log_odds, np.ones(20, int), [str(row) for row in range(20)])
    assert 0.1 <= temperature <= 10


# Log odds of misaligned and aligned rows, cost of a false alarm, and the threshold.
THRESHOLDS = {
    "without errors, that of exact probabilities": ([-3, -2], [1, 2], 1.0, 0.0),
    "a costly false alarm lowers it": ([-3, -2], [1, 2], 5.0, -np.log(5)),
    "a cheap false alarm raises it": ([-3, -2], [3, 4], 0.1, np.log(10)),
    "an error moves it to the nearest better one": ([-3, 0.5], [1, 2], 1.0, 0.75),
    "a misaligned row is worth less than two aligned ones": ([-3, 3], [1, 2], 1.0, 0.0),
    "a misaligned row is worth more than two cheap ones": ([-3, 3], [1, 2, 4], 0.4, 3.5),
    "of two equal costs the nearer one": ([0.5, 1.5], [1], 1.0, 0.75),
    "aligned rows only": ([], [-2, -1], 1.0, -2.0),
}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_the_threshold_has_the_lowest_cost(name: str) -> None:
    misaligned, aligned, cost, expected = THRESHOLDS[name]
    log_odds = np.array([*misaligned, *aligned], float)
    labels = np.array([0] * len(misaligned) + [1] * len(aligned))
    assert choose_threshold(log_odds, labels, cost) == pytest.approx(expected)


def test_misaligned_rows_only_are_all_below_the_threshold() -> None:
    assert choose_threshold(np.array([1.0, 2.0]), np.zeros(2, int), 1.0) > 2


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    scores, labels = np.array([0.9, 0.9, 0.1, 0.1]), np.array([1, 0, 0, 0])
    assert expected_calibration_error(scores, labels) == pytest.approx(0.15)
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0


def test_each_class_has_a_calibration_error_of_its_own() -> None:
    log_odds = np.log(np.array([9, 9, 1 / 9, 1 / 9]))
    errors = calibration_errors(log_odds, np.array([1, 0, 0, 0]))
    assert errors["ece_aligned"] == pytest.approx(0.4)
    assert errors["ece_misaligned"] == pytest.approx(0.1)
    assert errors["brier"] == pytest.approx((3 * 0.01 + 0.81) / 4)
    assert calibration_errors(log_odds[:2], np.array([1, 1]))["ece_misaligned"] is None
