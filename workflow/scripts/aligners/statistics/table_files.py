"""Tables as files: CSV to compute with, Markdown to read, LaTeX to print.

A CSV holds numbers, one line for each estimate. Markdown and LaTeX hold the same as text, in
sections: a title, and a table whose cells show a value with its interval and n.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from aligners.core.rows import atomic_path

EMPTY = "-"
# Of what titles may hold, the characters that mean something in LaTeX; pandas escapes the cells.
LATEX_CHARACTERS = str.maketrans({character: f"\\{character}" for character in "_%&#$"})


@dataclass(frozen=True)
class Section:
    """A table of texts, and what stands above it."""

    title: str
    table: pd.DataFrame


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table of numbers; what is missing is an empty cell."""
    with atomic_path(path) as partial:
        table.to_csv(partial, index=False, float_format="%.6g")


def write_markdown(path: Path, title: str, notes: str, sections: Sequence[Section]) -> None:
    """Write sections as one page with a title and notes."""
    parts = [f"# {title}", notes]
    for section in sections:
        cells = section.table.map(lambda text: text.replace("|", "\\|"))
        text = cells.to_markdown(index=False, disable_numparse=True)
        parts += [f"## {section.title}", text]
    if not sections:
        parts.append("There is no such comparison.")
    with atomic_path(path) as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def write_latex(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write each section as a table environment; the document needs the package booktabs."""
    parts = [f"% {title}. Needs \\usepackage{{booktabs}}; a wide table, a smaller font as well."]
    for section in sections:
        parts.append(
            section.table.to_latex(
                index=False,
                escape=True,
                caption=f"{title}: {section.title}".translate(LATEX_CHARACTERS),
                column_format="l" * len(section.table.columns),
                position="htbp",
            )
        )
    with atomic_path(path) as partial:
        partial.write_text("\n".join(parts), encoding="utf-8")


def percent(value: float | None) -> str:
    """Return a share as a percentage; a missing one is a dash."""
    return EMPTY if value is None or value != value else f"{100 * value:.1f}%"


def rate_text(estimate: Mapping[str, Any]) -> str:
    """Return an estimate as `68.5% (65.0 to 71.9)`; a missing one is a dash.

    Args:
        estimate: `value`, `low` and `high`, as an Estimate's fields.
    """
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None or value != value:
        return EMPTY
    return f"{percent(value)} ({100 * low:.1f} to {100 * high:.1f})"


def counted_rate_text(estimate: Mapping[str, Any]) -> str:
    """Return an estimate with its n: `68.5% (65.0 to 71.9), n=700`."""
    text = rate_text(estimate)
    return text if text == EMPTY else f"{text}, n={estimate['n']:.0f}"
