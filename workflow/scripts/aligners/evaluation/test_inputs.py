"""Test inputs: held-out synthetic questions, and data sets from the Hub or a file."""

import math
import re
import warnings
from collections.abc import Container, Iterable, Iterator, Sequence
from io import StringIO
from numbers import Real
from pathlib import Path
from typing import Any

import pandas as pd

from aligners.configuration.kinds.datasets import (
    Columns,
    DatasetRecipe,
    FileDatasetRecipe,
    HubDatasetRecipe,
    read_list,
)
from aligners.configuration.kinds.synthesis import Language
from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.progress import track
from aligners.core.rows import Row, read_rows, read_text, row_id, seeded_order
from aligners.synthesis.filters import text_reason
from aligners.synthesis.near_duplicates import NearDuplicates, ShingledTexts, normalise

MAXIMUM_CHARACTERS = 20_000
DECIMAL = re.compile(r"(?P<integer>[+-]?\d+)\.(?P<fraction>\d*)")


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV, JSON, JSON Lines or Parquet file. Every cell of a CSV file is text.

    Raises:
        UserError: the file is missing, is not UTF-8, or does not match its extension.
    """
    if path.suffix == ".csv":
        return read_csv(path)
    if path.suffix == ".jsonl":
        return pd.DataFrame(read_rows(path), dtype=object)
    if path.suffix == ".json":
        return pd.DataFrame(read_list(path), dtype=object)
    if path.suffix != ".parquet":
        raise UserError(
            f"{path}: unknown extension {path.suffix!r}; use .csv, .json, .jsonl or .parquet"
        )
    try:
        return pd.read_parquet(path)
    except ValueError as error:
        raise UserError(f"{path}: not a Parquet file: {error}; export it again") from None


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file. An empty line becomes a row of empty cells.

    Raises:
        UserError: the file is missing, not UTF-8, or not a CSV file.
    """
    text = StringIO(read_text(path))
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "skip_blank_lines": False}
    try:
        with warnings.catch_warnings():
            # If a line has more cells than the header, pandas shifts or cuts them with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(text, index_col=False, **options)
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise UserError(
            f"{path}: not a CSV file: {str(error).strip()}; add a header line, and put quotes "
            "around each cell with a comma"
        ) from None


def load_hub_table(recipe: HubDatasetRecipe) -> pd.DataFrame:
    """Download a data set from the Hub: the file of the recipe if it names one, else its split.

    Raises:
        UserError: the Hub cannot be reached; it does not have the data set, revision, file or
            split; or the data set needs a script. Scripts are never executed.
    """
    try:
        return hub_file(recipe, recipe.file) if recipe.file else hub_split(recipe)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"data set {recipe.repository}: {reason}; check the recipe and the network; or set "
            "in the recipe `file` to a table of the repository, or `path` to a local table"
        ) from None


def hub_split(recipe: HubDatasetRecipe) -> pd.DataFrame:
    """Download a split with the library `datasets`."""
    from datasets import load_dataset

    data = load_dataset(recipe.repository, split=recipe.split, revision=recipe.revision)
    return data.to_pandas()


def hub_file(recipe: HubDatasetRecipe, file: str) -> pd.DataFrame:
    """Download one file of the repository."""
    from huggingface_hub import hf_hub_download

    repository, revision = recipe.repository, recipe.revision
    path = hf_hub_download(repository, file, repo_type="dataset", revision=revision)
    return read_table(Path(path))


def check_columns(table: pd.DataFrame, columns: Columns, source: str) -> None:
    """Check that a table has the columns that the recipe names.

    Raises:
        UserError: a column is missing. The message lists the existing columns.
    """
    for key, name in columns:
        if name is not None and name not in table.columns:
            raise UserError(
                f"{source}: no column {name!r} (columns.{key}); the columns are "
                f"{', '.join(map(str, table.columns)) or 'none'}. "
                f"Correct the key columns.{key} in the recipe"
            )


def table_rows(
    table: pd.DataFrame, dataset: str, columns: Columns, source: str
) -> Iterator[Filtered]:
    """Return the rows of a table as questions with their categories.

    Empty, too long and duplicate questions are dropped. Their `number` counts rows from 0.

    Raises:
        UserError: a column is missing.
    """
    check_columns(table, columns, source)
    return read_records(table.to_dict("records"), dataset, columns, source)


def read_records(
    records: Iterable[Row], dataset: str, columns: Columns, source: str
) -> Iterator[Filtered]:
    """Yield the records of a table as questions (see `table_rows`).

    Raises:
        UserError: a category is neither a text nor a number, or its number is not an integer.
    """
    seen: set[str] = set()
    for number, record in enumerate(records):
        text = record[columns.question]
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
    if len(question) > MAXIMUM_CHARACTERS:
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
            fields[key] = read(record.get(name))
        except ValueError as error:
            raise UserError(
                f"{place}: {name!r} is {record[name]!r}, not {error}; correct the value, or the "
                f"key columns.{key} in the recipe"
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
        table, source = read_table(recipe.path), str(recipe.path)
    else:
        assert isinstance(recipe, HubDatasetRecipe)
        table, source = load_hub_table(recipe), recipe.repository
    return table_rows(table.head(recipe.rows), name, recipe.columns, source)


def sample_held_out(
    dataset: str,
    held_out: Sequence[Sequence[Row]],
    language: Language,
    count: int,
    seed: int,
) -> Iterator[Filtered]:
    """Yield a seeded sample of at most `count` held-out questions per criterion.

    `held_out` has a list of questions per criterion. A question of two criteria counts for the
    first one. A question that is not plain English is dropped.
    """
    seen: set[str] = set()
    for questions in held_out:
        taken = 0
        for question in sorted(questions, key=lambda row: seeded_order(row, seed)):
            row = {
                "id": question["id"],
                "question": question["question"],
                "dataset": dataset,
                "category": question["criterion"],
                "category_id": None,
            }
            if normalise(question["question"]) in seen:
                reason: str | None = "duplicate"
            else:
                reason = text_reason(question["question"], language)
            if reason is None and taken >= count:
                reason = "over_limit"
            yield row, reason
            taken += reason is None
            seen.add(normalise(question["question"]))
