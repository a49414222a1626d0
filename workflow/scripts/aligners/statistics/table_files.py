"""Tables as files: CSV for computing, Markdown for reading, LaTeX for printing.

A CSV has numbers, one line for each estimate. Markdown and LaTeX have the same numbers as text, in
sections: each has a title, and a table whose cells show a value with its interval and n.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import pandas as pd
from pandas.api.types import is_numeric_dtype

from aligners.core.errors import UserError
from aligners.core.rows import atomic_path, read_text

# Special characters of LaTeX, escaped in titles; pandas escapes them in cells.
LATEX_CHARACTERS = str.maketrans({character: f"\\{character}" for character in "_%&#$"})


@dataclass(frozen=True)
class Section:
    """A table of texts with its title."""

    title: str
    table: pd.DataFrame


def read_numbers(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """Read columns of numbers of a CSV file.

    Raises:
        UserError: the file cannot be read, a column is missing, or a value is not a number.
    """
    try:
        table = pd.read_csv(StringIO(read_text(path)))[list(columns)]
    except (ValueError, KeyError) as error:  # such as a missing column, or a line that is too long
        raise UserError(f"{path}: {error}; delete the file and run again") from None
    if texts := [name for name in columns if not is_numeric_dtype(table[name])]:
        raise UserError(
            f"{path}: the column {texts[0]!r} has a value that is not a number; delete the file "
            "and run again"
        )
    return table


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
