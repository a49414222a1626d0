"""Reads the figure files of the report, with their order and titles."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from aligners.configuration import results
from aligners.configuration.experiment import Experiment

# The order of the figures on the page.
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


def figures_section(experiment: Experiment) -> dict[str, list[dict[str, Any]]]:
    """Return the figures of each section, in the order of the tables (`figures_in`)."""
    kinds = ("judge", "dataset", "answering", "backbone", "inspector")
    names = [*experiment.systems, *experiment.references]
    names += [name for kind in kinds for name in experiment.names[kind]]
    directories = results.FIGURES.combinations(experiment.names)
    return {
        each["section"]: figures_in(results.FIGURES.path(**each), names) for each in directories
    }


def figures_in(directory: Path, names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the subject, kind, title and SVG of each figure in a directory, in reading order.

    Args:
        directory: of a section.
        names: the names that subjects consist of, in the order of the tables.
    """

    def order(figure: dict[str, Any]) -> tuple[int, list[int]]:
        parts = figure["subject"].split("/")
        return KINDS.index(figure["kind"]), [names.index(part) for part in parts if part in names]

    figures = []
    for path in sorted(directory.rglob("*.svg")):
        svg = path.read_text(encoding="utf-8")
        figures.append(
            {
                "subject": path.parent.relative_to(directory).as_posix(),
                "kind": path.stem,
                "title": Markup(title_of(svg)),
                "svg": Markup(svg),
            }
        )
    return sorted(figures, key=order)


def title_of(svg: str) -> str:
    """Return the title of an SVG file, as XML text."""
    found = re.search(r"<title[^>]*>(.*?)</title>", svg, re.DOTALL)
    return found[1] if found else ""
