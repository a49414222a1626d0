"""Verdicts of one comparison: our system against a reference, on the same questions.

A table has one row for each question:

| column | meaning |
| --- | --- |
| id | the question's id, unique in the table |
| category | its category, or None |
| first_order | preference where our answer was shown first |
| second_order | preference where the reference's answer was shown first |
| length, reference_length | length of our answer and of the reference's, in characters or tokens |
| unchanged | whether our answer is the base answer, copied |

A preference is 1 where ours is better, 0 where the reference is, 0.5 for a tie; between them it is
the judge's probability that ours is better; NaN where there is no usable verdict.
"""

from pathlib import Path

import pandas as pd

from aligners.core.rows import read_rows

ORDERS = ["first_order", "second_order"]
LENGTHS = ["length", "reference_length"]
COLUMNS = ["id", "category", *ORDERS, *LENGTHS, "unchanged"]
TIE = 0.5


def read_verdicts(path: Path) -> pd.DataFrame:
    """Read a file of verdicts (docs/data.md) as such a table; null becomes NaN."""
    table = pd.DataFrame(read_rows(path), columns=[*COLUMNS, "category_id"])
    return table.astype(dict.fromkeys(ORDERS, float))


def check_verdicts(verdicts: pd.DataFrame) -> None:
    """Check a table of verdicts against the description of this module.

    Raises:
        ValueError: a column is missing, an id occurs twice, or a value is out of its range.
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
            wrong, rule = values[~(values.isna() | values.between(0, 1))], "lies between 0 and 1"
        else:
            wrong, rule = values[~(values >= 0)], "has to be a number that is not negative"
        if len(wrong):
            raise ValueError(
                f"table of verdicts: {column} of {verdicts['id'][wrong.index[0]]!r} is "
                f"{wrong.iloc[0]}; it {rule}."
            )


def preferences(verdicts: pd.DataFrame) -> pd.Series:
    """Return the preference of each question: the mean of both orders, NaN where one is unusable.

    A judge's bias for a position cancels out only in the mean of both orders. So a question with
    one usable order has no verdict.
    """
    return verdicts[ORDERS].mean(axis=1, skipna=False)
