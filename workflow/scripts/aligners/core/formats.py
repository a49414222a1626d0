"""Formats numbers as text for tables, the report and the terminal: with one format for each kind.

`printable` makes a text from outside safe to show.

An estimate is a mapping with the fields of statistics.intervals.Estimate: `value`, `low` and `high`
(its 95% interval) and `n`. None and NaN count as missing.
"""

import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

MISSING = "-"
MINUTE, HOUR, DAY = 60, 3600, 86_400
NARROW_SPACE = "\u202f"
# Unicode categories of characters that control a terminal, or change a text without being seen:
# control and format characters, halves of surrogate pairs, line and paragraph separators.
HIDDEN = ("Cc", "Cf", "Cs", "Zl", "Zp")
# Signs of Arabic, Syriac and Kaithi, which are visible although they are format characters.
VISIBLE_SIGNS = (
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
# The zero-width characters that join or separate letters, and join emoji.
JOINERS = "\u200c\u200d"
# Unicode categories of letters, their marks, emoji, and the skin colours of emoji.
JOINED = ("Ll", "Lm", "Lo", "Lt", "Lu", "Mc", "Me", "Mn", "So", "Sk")
VIRAMA = 9  # Combining class of the sign after which Indic scripts use a joiner, also at the end.


def is_missing(value: float | None) -> bool:
    """Return whether a value is None or NaN."""
    return value is None or value != value


def decimal(value: float | None, digits: int = 3, missing: str = MISSING) -> str:
    """Return a number with a fixed number of decimal digits: `0.875`."""
    return missing if value is None or is_missing(value) else f"{value:.{digits}f}"


def percent(share: float | None, digits: int = 1, missing: str = MISSING) -> str:
    """Return a share as a percentage: `68.5%`."""
    return missing if share is None or is_missing(share) else f"{share:.{digits}%}"


def rate(estimate: Mapping[str, Any] | None, missing: str = MISSING) -> str:
    """Return a share with its interval: `68.5% (65.0 to 71.9)`."""
    if estimate is None or is_missing(estimate["value"]):
        return missing
    low, high = (f"{100 * estimate[key]:.1f}" for key in ("low", "high"))
    return f"{percent(estimate['value'])} ({low} to {high})"


def rate_with_n(estimate: Mapping[str, Any]) -> str:
    """Return a share with its interval and n: `68.5% (65.0 to 71.9), n=700`."""
    text = rate(estimate)
    return text if text == MISSING else f"{text}, n={estimate['n']:.0f}"


def points(difference: float | None, missing: str = MISSING) -> str:
    """Return the difference of two shares in percentage points: `+3.1`."""
    return missing if difference is None or is_missing(difference) else f"{100 * difference:+.1f}"


def points_with_interval(estimate: Mapping[str, Any], missing: str = MISSING) -> str:
    """Return the difference of two shares with its interval: `+3.1 (+0.9 to +5.2)`."""
    if is_missing(estimate["value"]):
        return missing
    value, low, high = (points(estimate[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def spread(
    figure: Mapping[str, Any] | None,
    show: Callable[[float], str] = percent,
    missing: str = MISSING,
) -> str:
    """Return the mean of shares with its standard deviation over training seeds: `68.5% ± 1.2`.

    Args:
        figure: with the fields `mean` and `sd` of core.spread.Spread.
        show: how the mean is shown: `percent`, or `points` for differences.
        missing: the text without a mean.
    """
    if figure is None or is_missing(figure["mean"]):
        return missing
    mean = show(figure["mean"])
    return mean if is_missing(figure["sd"]) else f"{mean} ± {100 * figure['sd']:.1f}"


def spread_decimal(figure: Mapping[str, Any], missing: str = MISSING) -> str:
    """Return a mean with its standard deviation over training seeds: `0.953 ± 0.004`."""
    mean = decimal(figure["mean"], missing=missing)
    return mean if is_missing(figure["sd"]) else f"{mean} ± {decimal(figure['sd'])}"


def whole(number: float) -> str:
    """Return a number rounded to an integer, with spaces between thousands: `1 234 568`."""
    return f"{number:,.0f}".replace(",", NARROW_SPACE)


def count(number: float) -> str:
    """Return a number with three digits and a unit: `1.23 M`."""
    for unit in ("", " k", " M", " B"):
        if number < 999.5 or unit == " B":
            break
        number /= 1000
    return f"{number:.3g}{unit}" if number < 999.5 else f"{number:,.0f}{unit}"


def duration(seconds: float) -> str:
    """Return a duration in a suitable unit: `0.52 s`, `45 min`, `5.3 h`, `3.0 days`."""
    if seconds < MINUTE:
        return f"{seconds:.2g} s"
    if seconds < HOUR:
        return f"{seconds / MINUTE:.2g} min"
    if seconds < 2 * DAY:
        return f"{seconds / HOUR:.1f} h"
    return f"{seconds / DAY:,.1f} days"


def printable(text: str) -> str:
    """Return a text with its hidden characters as escape sequences: `\\x1b`, `\\u202e`, `\\n`.

    In a terminal or a log, no character of the result moves the cursor, sets a colour, turns the
    direction of the text or is invisible. Joiners of letters and of emoji stay.
    """
    if text.isprintable():
        return text
    befores, afters = f" {text}", f"{text[1:]} "
    return "".join(
        character.encode("unicode_escape").decode()
        if is_hidden(character) and not is_joiner(before, character, after)
        else character
        for before, character, after in zip(befores, text, afters, strict=False)
    )


def printable_lines(text: str) -> str:
    """Return a text as `printable` does, but with its line feeds and tabs."""
    return "".join(
        part if part in ("\n", "\t") else printable(part) for part in re.split(r"([\n\t])", text)
    )


def is_hidden(character: str) -> bool:
    """Return whether a character is invisible, or controls how others are shown."""
    return unicodedata.category(character) in HIDDEN and character not in VISIBLE_SIGNS


def is_joiner(before: str, character: str, after: str) -> bool:
    """Return whether a character joins or separates the letters or emoji around it."""
    return character in JOINERS and (
        unicodedata.combining(before) == VIRAMA
        or all(unicodedata.category(neighbour) in JOINED for neighbour in (before, after))
    )
