"""The page: fills the template with sections and figures. It is one file that loads no other."""

import base64
import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from aligners.configuration.workflow_files import WORKFLOW
from aligners.core import formats

# The files of the template, in the workflow's own directory.
TEMPLATES = WORKFLOW / "workflow/report"
MISSING = "–"


def rate(estimate: dict[str, Any] | None) -> str:
    """Return a share with its interval and n: `93.1% (90.9 to 94.8), n = 356`."""
    return with_n(formats.rate(estimate, MISSING), estimate)


def points(estimate: dict[str, Any]) -> str:
    """Return a difference of shares in percentage points: `+3.1 (+0.9 to +5.2), n = 356`."""
    return with_n(formats.points_with_interval(estimate, MISSING), estimate)


def with_n(text: str, estimate: dict[str, Any] | None) -> str:
    """Append n to the text of an estimate, unless the estimate is missing."""
    if estimate is None or text == MISSING:
        return text
    return Markup("%s<small>, n = %s</small>") % (text, formats.whole(estimate["n"]))


def of_subject(figures: Sequence[dict[str, Any]], *names: str) -> list[dict[str, Any]]:
    """Return the figures whose subject starts with the names."""
    return [
        figure for figure in figures if figure["subject"].split("/")[: len(names)] == list(names)
    ]


def without_hidden_characters(value: Any) -> Any:
    """Return a value of the template with its hidden characters visible, if it is a text.

    HTML comes from this package, which has done so for each text in it.
    """
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return formats.printable_lines(value) if is_text else value


def render_page(**sections: Any) -> str:
    """Return the page.

    The template escapes all texts from results/ and makes their hidden characters visible. A
    content security policy in the page forbids all requests and allows only the page's own script.

    Args:
        sections: the variables of the template, by name.
    """
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=without_hidden_characters,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        rate=rate,
        points=points,
        spread=partial(formats.spread, missing=MISSING),
        spread_decimal=partial(formats.spread_decimal, missing=MISSING),
        percent=formats.percent,
        decimal=partial(formats.decimal, missing=MISSING),
        whole=formats.whole,
        duration=formats.duration,
        of_subject=of_subject,
    )
    script = (TEMPLATES / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template("report.html.j2").render(
        style=Markup((TEMPLATES / "report.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash=digest,
        **sections,
    )
