"""Tables as files: CSV for computing, Markdown for reading, LaTeX for printing.

A CSV has numbers, one line for each estimate. Markdown and LaTeX have the same numbers as text, in
sections: each has a title, and a table whose cells show a value with its interval and n.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from aligners.core.rows import atomic_path

# Special characters of LaTeX, escaped in titles; pandas escapes them in cells.
LATEX_CHARACTERS = str.maketrans({character: f"\\{character}" for character in "_%&#$"})


@dataclass(frozen=True)
class Section:
    """A table of texts with its title."""

    title: str
    table: pd.DataFrame


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table of numbers; a missing number is an empty cell."""
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
