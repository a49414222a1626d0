"""CSV files that are safe to open with a spreadsheet."""

from pathlib import Path
from typing import Any

import pandas as pd

from aligners.core.rows import atomic_path

# A spreadsheet reads a text that begins with one of these as a formula.
FORMULA_STARTS = ("=", "+", "-", "@", "\t")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table of numbers and texts; a missing value is an empty cell.

    A text that begins like a formula gets an apostrophe in front, as OWASP recommends.
    """
    texts = table.select_dtypes(exclude="number").columns
    safe = table.assign(**{name: table[name].map(not_a_formula) for name in texts})
    with atomic_path(path) as partial:
        safe.to_csv(partial, index=False, float_format="%.6g")


def not_a_formula(value: Any) -> Any:
    """Return a text that a spreadsheet does not compute; return other values unchanged."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA_STARTS) else value
