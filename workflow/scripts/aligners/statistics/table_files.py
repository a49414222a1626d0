"""Tables as files: CSV for computing, Markdown for reading, LaTeX for printing.

A CSV has numbers, one line for each estimate. Markdown and LaTeX have the same numbers as text, in
sections: each has a title, and a table whose cells show a value with its interval and n.

Names of categories come from data sets, and questions from an LLM. They may contain anything, so
their special characters are escaped.
"""

import html
from collections.abc import Sequence
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from aligners.core.errors import UserError
from aligners.core.formats import printable
from aligners.core.rows import atomic_path, read_text

# Spreadsheets read a cell that starts with one of these as a formula, some also with a wide form.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\n", "＝", "＋", "－", "＠")
MARKDOWN_CHARACTERS = str.maketrans({character: f"\\{character}" for character in "\\`*[]|"})
# At the start of a row, LaTeX reads [ and * as part of the command that ends the row before.
LATEX_CHARACTERS = str.maketrans(
    {character: f"\\{character}" for character in "_%&#${}"}
    | {character: f"{{{character}}}" for character in "[]*"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)


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
    """Write a table; a missing number is an empty cell.

    A text that a spreadsheet would read as a formula gets an apostrophe in front. A line end within
    a text is a line feed.
    """
    with atomic_path(path) as partial:
        table.map(in_csv).to_csv(partial, index=False, float_format="%.6g")


def in_csv(cell: Any) -> Any:
    """Return a cell as `write_csv` writes it."""
    if not isinstance(cell, str):
        return cell
    # Until Python 3.12, the writer puts no quotes around a text with a carriage return.
    text = cell.replace("\r\n", "\n").replace("\r", "\n")
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def in_markdown(text: str) -> str:
    """Return a text as one line of Markdown that shows it, also in a cell of a table."""
    return html.escape(one_line(text), quote=False).translate(MARKDOWN_CHARACTERS)


def in_latex(text: str) -> str:
    """Return a text as one line of LaTeX that prints it, also in a cell of a table."""
    return one_line(text).translate(LATEX_CHARACTERS)


def one_line(text: str) -> str:
    """Return a text in one line, with its hidden characters as escape sequences."""
    return printable(" ".join(text.split()))


def write_markdown(path: Path, title: str, notes: str, sections: Sequence[Section]) -> None:
    """Write sections as one page with a title and notes."""
    parts = [f"# {title}", notes]
    for section in sections:
        cells = section.table.map(in_markdown).rename(columns=in_markdown)
        text = cells.to_markdown(index=False, disable_numparse=True)
        parts += [f"## {in_markdown(section.title)}", text]
    if not sections:
        parts.append("There is no such comparison.")
    with atomic_path(path) as partial:
        partial.write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def write_latex(path: Path, title: str, sections: Sequence[Section]) -> None:
    """Write each section as a table environment; the document needs the package booktabs."""
    parts = [f"% {title}. Needs \\usepackage{{booktabs}}; a wide table, a smaller font as well."]
    for section in sections:
        parts.append(
            section.table.map(in_latex)
            .rename(columns=in_latex)
            .to_latex(
                index=False,
                escape=False,
                caption=in_latex(f"{title}: {section.title}"),
                column_format="l" * len(section.table.columns),
                position="htbp",
            )
        )
    with atomic_path(path) as partial:
        partial.write_text("\n".join(parts), encoding="utf-8")
