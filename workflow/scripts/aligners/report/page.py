"""The page: sections and figures put into the template, one file that needs no other."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup


def percent(estimate: dict[str, Any] | None) -> str:
    """Return an estimate with interval and number, such as `93.1% (90.9 to 94.8), n = 356`."""
    if not estimate or estimate["value"] is None:
        return "–"
    low, high = estimate["low"] * 100, estimate["high"] * 100
    rate = f"{estimate['value']:.1%} ({low:.1f} to {high:.1f})"
    return Markup("%s<small>, n = %s</small>") % (rate, whole(estimate["n"]))


def points(estimate: dict[str, Any]) -> str:
    """Return a difference of rates in percentage points, such as `+3.1 (+0.9 to +5.2), n = 356`."""
    if estimate["value"] is None:
        return "–"
    value, low, high = (estimate[key] * 100 for key in ("value", "low", "high"))
    difference = f"{value:+.1f} ({low:+.1f} to {high:+.1f})"
    return Markup("%s<small>, n = %s</small>") % (difference, whole(estimate["n"]))


def decimal(value: float | None, digits: int = 3) -> str:
    """Return a number with some digits, or a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def whole(value: float) -> str:
    """Return a number without digits, its thousands apart."""
    return f"{value:,.0f}".replace(",", "\u202f")


def duration(seconds: float) -> str:
    """Return a time in the units that fit it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h"


def of_subject(figures: Sequence[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Return the figures whose subject begins with some names."""
    return [
        figure for figure in figures if figure["subject"].split("/")[: len(names)] == list(names)
    ]


def render_page(template: Path, sections: dict[str, Any]) -> str:
    """Return the page.

    Every text from the results is escaped. A policy in the page lets run no script but the
    page's own, and load nothing.

    Args:
        template: with the style sheet and the script beside it.
        sections: what the template shows, by name.
    """
    environment = Environment(
        loader=FileSystemLoader(template.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=percent,
        points=points,
        decimal=decimal,
        whole=whole,
        duration=duration,
        of_subject=of_subject,
    )
    script = (template.parent / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(template.name).render(
        style=Markup((template.parent / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=digest,
        **sections,
    )
