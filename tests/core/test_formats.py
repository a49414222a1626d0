"""Formats of numbers, and texts that are safe to show."""

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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x1b]0;title\x07\x9b2J\x7f", r"\x1b]0;title\x07\x9b2J\x7f"),
        ("one\ntwo\r\tthree\0", r"one\ntwo\r\tthree\x00"),
        ("\u202egnp.exe\u2066\u200f\u061c", r"\u202egnp.exe\u2066\u200f\u061c"),
        ("a\ufeffb\u200bc\u2060d\xade\u2028f", r"a\ufeffb\u200bc\u2060d\xade\u2028f"),
        ("hidden \U000e0041", r"hidden \U000e0041"),
        ("half \ud83d of a pair", r"half \ud83d of a pair"),
        ("alone \u200d here, and at the end\u200c", r"alone \u200d here, and at the end\u200c"),
    ],
)
def test_hidden_characters_become_visible(text: str, shown: str) -> None:
    assert formats.printable(text) == shown


def test_lines_and_tabs_of_a_text_stay() -> None:
    assert formats.printable_lines("one\n\ttwo\r\n\x1b[2J") == "one\n\ttwo\\r\n\\x1b[2J"


@pytest.mark.parametrize(
    "text",
    [
        "plain, “quoted” – 你好 · e\u0301 · שלום · \u0661\u06dd",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",  # Persian, with a non-joiner
        "\u0d28\u0d4d\u200d \u0915\u094d\u200d\u0937",  # Indic, with joiners after a virama
        "👩🏽\u200d🚀 ❤\ufe0f\u200d🔥 👨\u200d👩\u200d👧",
        "no-break\xa0space and \u202fnarrow\u3000wide",
    ],
)
def test_ordinary_text_is_shown_as_it_is(text: str) -> None:
    # The hidden character makes sure that the whole text is read.
    assert formats.printable(f"{text} \x07") == f"{text} \\x07"
