"""Verdicts of one comparison: a system against a reference, on the same questions.

A table has one row for each question:

| column | meaning |
| --- | --- |
| id | the question's id, unique in the table |
| category | its category, or None |
| first_order | preference with the system's text shown first |
| second_order | preference with the reference's text shown first |
| length, reference_length | lengths of the system's and the reference's text, in one unit |
| unchanged | whether the system's text equals the base LLM's response |

A preference is 1 if the system's text is better, 0 if the reference's text is better, and 0.5 for a
tie. Other values are the judge's probability that the system's text is better. NaN means that there
is no usable verdict.
"""

from pathlib import Path

import pandas as pd

from aligners.core.rows import read_rows

ORDERS = ["first_order", "second_order"]
LENGTHS = ["length", "reference_length"]
COLUMNS = ["id", "category", *ORDERS, *LENGTHS, "unchanged"]
TIE = 0.5


def read_verdicts(path: Path, repeated_ids: bool = False) -> pd.DataFrame:
    """Read a file of verdicts (docs/data.md) as a table; null becomes NaN.

    `repeated_ids`: whether the file has several verdicts on a question.
    """
    columns = (*COLUMNS, "category_id")
    table = pd.DataFrame(read_rows(path, columns, repeated_ids), columns=columns)
    return table.astype(dict.fromkeys(ORDERS, float))


def check_verdicts(verdicts: pd.DataFrame) -> None:
    """Check that a table of verdicts is as this module describes it.

    Raises:
        ValueError: a column is missing, an id occurs twice, or a value is out of range.
    """
    missing = [column for column in COLUMNS if column not in verdicts]
    if missing:
        raise ValueError(f"table of verdicts: no column {missing[0]!r}; it needs {COLUMNS}.")
    repeated = verdicts["id"][verdicts["id"].duplicated()]
    if len(repeated):
        raise ValueError(f"table of verdicts: the id {repeated.iloc[0]!r} occurs more than once.")
    for column in (*ORDERS, *LENGTHS):
        values = verdicts[column]
        if column in ORDERS:
            wrong, rule = values[~(values.isna() | values.between(0, 1))], "between 0 and 1"
        else:
            wrong, rule = values[~(values >= 0)], "a number of at least 0"
        if len(wrong):
            raise ValueError(
                f"table of verdicts: {column} of {verdicts['id'][wrong.index[0]]!r} is "
                f"{wrong.iloc[0]}; it has to be {rule}."
            )


def preferences(verdicts: pd.DataFrame) -> pd.Series:
    """Return the preference of each question: the mean of both orders, or NaN if one is unusable.

    A judge's bias for a position cancels out only in the mean of both orders. So a question with
    only one usable order has no verdict.
    """
    return verdicts[ORDERS].mean(axis=1, skipna=False)
