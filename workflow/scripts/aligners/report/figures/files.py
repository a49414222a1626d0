"""The figures of the report as files: which come first, and what they are called."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

# Figures in reading order: those of a kind stand side by side.
KINDS = (
    "counts",
    "similarity",
    "roc",
    "reliability",
    "confusion",
    "losses",
    "turns",
    "clean",
    "rates",
    "categories",
    "thresholds",
)


def figures_in(directory: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return subject, kind, title and drawing of a directory's figures, in reading order.

    Args:
        directory: of a section.
        names: that are parts of subjects, in the order in which the tables have them too.
    """

    def order(figure: dict[str, Any]) -> tuple[int, list[int]]:
        parts = figure["subject"].split("/")
        return KINDS.index(figure["kind"]), [names.index(part) for part in parts if part in names]

    found = []
    for path in sorted(directory.rglob("*.svg")):
        svg = path.read_text(encoding="utf-8")
        found.append(
            {
                "subject": path.parent.relative_to(directory).as_posix(),
                "kind": path.stem,
                "title": Markup(title_of(svg)),
                "svg": Markup(svg),
            }
        )
    return sorted(found, key=order)


def title_of(svg: str) -> str:
    """Return the title that a drawing was saved with, as XML text."""
    found = re.search(r"<title[^>]*>(.*?)</title>", svg, re.DOTALL)
    return found[1] if found else ""
