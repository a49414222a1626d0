"""Formats numbers as text for tables, the report and the terminal: with one format for each kind.

An estimate is a mapping with the fields of statistics.intervals.Estimate: `value`, `low` and `high`
(its 95% interval) and `n`. None and NaN count as missing.
"""

from collections.abc import Mapping
from typing import Any

MISSING = "-"
MINUTE, HOUR, DAY = 60, 3600, 86_400
NARROW_SPACE = "\u202f"


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
