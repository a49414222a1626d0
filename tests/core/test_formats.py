"""Formats of numbers."""

import pytest

from aligners.core import formats

NAN = float("nan")
ESTIMATE = {"value": 0.685, "low": 0.65, "high": 0.7189, "n": 700}


def test_a_rate_has_its_interval_and_n() -> None:
    assert formats.rate(ESTIMATE) == "68.5% (65.0 to 71.9)"
    assert formats.rate_with_n(ESTIMATE) == "68.5% (65.0 to 71.9), n=700"
    assert formats.points_with_interval(ESTIMATE) == "+68.5 (+65.0 to +71.9)"


@pytest.mark.parametrize("value", [None, NAN])
def test_a_missing_number_is_a_dash_or_the_text_of_the_caller(value: float | None) -> None:
    estimate = {**ESTIMATE, "value": value}
    for text in (
        formats.rate(estimate),
        formats.rate_with_n(estimate),
        formats.points_with_interval(estimate),
        formats.percent(value),
        formats.points(value),
        formats.decimal(value),
    ):
        assert text == "-"
    assert formats.percent(value, missing="not reported") == "not reported"
    assert formats.rate(None, missing="none") == "none"


def test_decimal_digits_and_thousands_are_formatted() -> None:
    assert (formats.decimal(0.12345), formats.decimal(2, 1)) == ("0.123", "2.0")
    assert formats.whole(1234567.8) == "1\u202f234\u202f568"
    assert formats.percent(0.12345, 0) == "12%"


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (999_499, "999 k"), (999_500, "1 M"), (1.234e12, "1,234 B")]
)
def test_counts_have_three_digits(number: float, text: str) -> None:
    assert formats.count(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.52, "0.52 s"), (75.5, "1.3 min"), (2700, "45 min"), (5400, "1.5 h"), (259_200, "3.0 days")],
)
def test_durations_have_a_suitable_unit(seconds: float, text: str) -> None:
    assert formats.duration(seconds) == text
