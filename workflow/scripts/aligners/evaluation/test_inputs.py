"""Test inputs: held-out synthetic questions, and data sets from the Hub or a file."""

import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from numbers import Real
from typing import Any

import pandas as pd

from aligners.configuration.kinds.datasets import (
    Columns,
    DatasetRecipe,
    FileDatasetRecipe,
    HubDatasetRecipe,
    has_column,
)
from aligners.configuration.kinds.synthesis import Language
from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.progress import track
from aligners.core.rows import Row, row_id, seeded_order
from aligners.core.tables import FIRST_RECORDS, column_names, read_records, value_at
from aligners.imports.formats import MOST_CHARACTERS
from aligners.imports.hub import hub_records
from aligners.synthesis.filters import text_reason
from aligners.synthesis.near_duplicates import NearDuplicates, ShingledTexts, normalise

DECIMAL = re.compile(r"(?P<integer>[+-]?\d+)\.(?P<fraction>\d*)")


def check_columns(records: Sequence[Row], columns: Columns, source: str) -> None:
    """Check that a table has the columns that the recipe names.

    Args:
        records: the first ones of the table.
        columns: those of the recipe.
        source: names the table.

    Raises:
        UserError: a column is missing. The message lists the existing columns.
    """
    for key, name in columns:
        if name is not None and not has_column(records, name):
            raise UserError(
                f"{source}: no column {name!r} (columns.{key}); the columns are "
                f"{', '.join(column_names(records)) or 'none'}. "
                f"Correct the key columns.{key} in the recipe"
            )


def read_questions(
    records: Iterable[Row], dataset: str, columns: Columns, source: str
) -> Iterator[Filtered]:
    """Return the records of a table as questions with their categories.

    Empty, too long and duplicate questions are dropped. Their `number` counts rows from 0.

    Raises:
        UserError: there is no record; a column is missing; or a category is neither a text nor a
            number, or its number is not an integer.
    """
    remaining = iter(records)
    first = list(islice(remaining, FIRST_RECORDS))
    if not first:
        raise UserError(f"{source}: the table has no records; add some, or name another table")
    check_columns(first, columns, source)
    return question_rows(chain(first, remaining), dataset, columns, source)


def question_rows(
    records: Iterable[Row], dataset: str, columns: Columns, source: str
) -> Iterator[Filtered]:
    """Yield records as questions (see `read_questions`)."""
    seen: set[str] = set()
    for number, record in enumerate(records):
        text = value_at(record, columns.question)
        question = text.strip() if isinstance(text, str) else ""
        row: Row = {
            "id": row_id(question),
            "question": question,
            "dataset": dataset,
            **category_fields(record, columns, f"{source}, row {number} (from 0)"),
        }
        reason = question_reason(question, seen)
        yield (row, None) if reason is None else ({**row, "number": number}, reason)
        seen.add(normalise(question))


def question_reason(question: str, earlier: Container[str]) -> str | None:
    """Return the reason to drop a question, or None. `earlier` are normalised questions."""
    if not question:
        return "empty"
    if len(question) > MOST_CHARACTERS:
        return "too_long"
    return "duplicate" if normalise(question) in earlier else None


def category(value: Any) -> str | None:
    """Return a category as text, or None if it is missing.

    Raises:
        ValueError: it is neither a text nor a number.
    """
    if isinstance(value, str):
        return value
    if value is None or value is pd.NA or (isinstance(value, Real) and value != value):
        return None
    if not isinstance(value, Real) or isinstance(value, bool) or math.isinf(value):
        raise ValueError("a text or a number")
    return str(value).removesuffix(".0")


def category_number(value: Any) -> str | None:
    """Return a category's number as text, or None if it is missing. 2.0 and "2.0" are "2".

    A table whose number column has gaps often stores its integers as floats.

    Raises:
        ValueError: it is not an integer.
    """
    text = category(value)
    if text and (match := DECIMAL.fullmatch(text)):
        if match["fraction"].strip("0"):
            raise ValueError("an integer")
        return match["integer"]
    return text


def category_fields(record: Row, columns: Columns, place: str) -> Row:
    """Return the fields `category` and `category_id` of a record. `place` is for the message.

    Raises:
        UserError: a value is neither text nor a number, or a category number is not an integer.
    """
    fields = {}
    for key, read in (("category", category), ("category_id", category_number)):
        name = getattr(columns, key)
        try:
            fields[key] = None if name is None else read(value_at(record, name))
        except ValueError as error:
            raise UserError(
                f"{place}: {name!r} is {value_at(record, str(name))!r}, not {error}; correct the "
                f"value, or the key columns.{key} in the recipe"
            ) from None
    return fields


def drop_training_questions(
    rows: Iterable[Filtered], training: Iterable[Row], shingle: int, similarity: float
) -> Iterator[Filtered]:
    """Drop test questions that are duplicates or near-duplicates of training questions."""
    filtered = list(rows)
    kept = [row["question"] for row, reason in filtered if reason is None]
    asked = [row["question"] for row in training]
    near = NearDuplicates(ShingledTexts([*asked, *kept], shingle, similarity))
    for number in range(len(asked)):
        near.add(number)
    number = len(asked)
    for row, reason in track(filtered, len(filtered), "comparison with training questions"):
        if reason is None:
            reason = None if near.first(number) is None else "in_training"
            number += 1
        yield row, reason


def import_dataset(name: str, recipe: DatasetRecipe) -> Iterator[Filtered]:
    """Return the rows of an external data set, from a local file if the recipe has a `path`."""
    assert isinstance(recipe, FileDatasetRecipe | HubDatasetRecipe)
    if recipe.path:
        places, source = read_records(recipe.path), str(recipe.path)
    else:
        assert isinstance(recipe, HubDatasetRecipe)
        places, source = hub_records(recipe.hub_table()), recipe.repository
    records = (record for _, record in islice(places, recipe.rows))
    return read_questions(records, name, recipe.columns, source)


def sample_held_out(
    dataset: str,
    held_out: Mapping[str, Sequence[Row]],
    language: Language,
    languages: Mapping[str, Sequence[str]],
    count: int,
    seed: int,
) -> Iterator[Filtered]:
    """Yield a seeded sample of at most `count` held-out questions per criterion.

    `held_out` has the questions of each criterion. A question of two criteria counts for the
    first one. A question that is not plain text in the criterion's `languages` is dropped.
    """
    seen: set[str] = set()
    for criterion, questions in held_out.items():
        taken = 0
        for question in sorted(questions, key=lambda row: seeded_order(row, seed)):
            row = {
                "id": question["id"],
                "question": question["question"],
                "dataset": dataset,
                "category": criterion,
                "category_id": None,
            }
            if normalise(question["question"]) in seen:
                reason: str | None = "duplicate"
            else:
                reason = text_reason(question["question"], language, languages[criterion])
            if reason is None and taken >= count:
                reason = "over_limit"
            yield row, reason
            taken += reason is None
            seen.add(normalise(question["question"]))
