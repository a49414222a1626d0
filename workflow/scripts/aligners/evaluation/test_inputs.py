"""Test questions: held-out synthetic ones, and data sets from the Hub or a file."""

import warnings
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pandas as pd

from aligners.configuration.kinds.datasets import (
    Columns,
    DatasetRecipe,
    FileDatasetRecipe,
    HubDatasetRecipe,
)
from aligners.configuration.kinds.synthesis import Language
from aligners.core.counts import Sieve
from aligners.core.errors import UserError
from aligners.core.rows import Row, read_json, read_rows, read_text, row_id, seeded_order
from aligners.synthesis.filters import text_reason
from aligners.synthesis.near_duplicates import NearDuplicates, normalise

MAXIMUM_CHARACTERS = 20_000


def read_table(path: Path) -> pd.DataFrame:
    """Read a CSV, JSON, JSON Lines or Parquet file; every cell of a CSV is text.

    Raises:
        UserError: the file is missing, not UTF-8, or not of the type of its extension.
    """
    if path.suffix == ".csv":
        return read_csv(path)
    if path.suffix == ".jsonl":
        return pd.DataFrame(read_rows(path), dtype=object)
    if path.suffix == ".json":
        return pd.DataFrame(read_list(path), dtype=object)
    if path.suffix != ".parquet":
        raise UserError(
            f"{path}: unknown ending {path.suffix!r}; give a .csv, .json, .jsonl or .parquet"
        )
    try:
        return pd.read_parquet(path)
    except ValueError as error:
        raise UserError(f"{path}: not a Parquet file: {error}; export it anew") from None


def read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV file; an empty line becomes a row of empty cells.

    Raises:
        UserError: the file is missing, not UTF-8, or not a CSV.
    """
    text = StringIO(read_text(path))
    options: dict[str, Any] = {"dtype": str, "keep_default_na": False, "skip_blank_lines": False}
    try:
        with warnings.catch_warnings():
            # If a line has more cells than the header, pandas only warns, and shifts or cuts them.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(text, index_col=False, **options)
    except (pd.errors.ParserError, pd.errors.ParserWarning, pd.errors.EmptyDataError) as error:
        raise UserError(
            f"{path}: not a CSV: {str(error).strip()}; give it a header, quote cells with commas"
        ) from None


def read_list(path: Path) -> list[Row]:
    """Read a JSON file that is a list of objects.

    Raises:
        UserError: the file is missing, not JSON, or not a list of objects.
    """
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: not a list of objects; give one, or one object a line in .jsonl")
    return rows


def load_hub_table(recipe: HubDatasetRecipe) -> pd.DataFrame:
    """Download a data set from the Hub: the file that the recipe names, or else a split.

    Raises:
        UserError: the Hub cannot be reached; it does not have the data set, revision, file or
            split; or the data set is a script, which is never executed.
    """
    try:
        return hub_file(recipe, recipe.file) if recipe.file else hub_split(recipe)
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"data set {recipe.repository}: {reason}; check the recipe and the network, name "
            "one table of the repository as `file`, or give a local file as `path` in the recipe"
        ) from None


def hub_split(recipe: HubDatasetRecipe) -> pd.DataFrame:
    """Return a split, loaded with the library `datasets`."""
    from datasets import load_dataset

    data = load_dataset(recipe.repository, split=recipe.split, revision=recipe.revision)
    return data.to_pandas()


def hub_file(recipe: HubDatasetRecipe, file: str) -> pd.DataFrame:
    """Return one file of the repository as a table."""
    from huggingface_hub import hf_hub_download

    repository, revision = recipe.repository, recipe.revision
    path = hf_hub_download(repository, file, repo_type="dataset", revision=revision)
    return read_table(Path(path))


def check_columns(table: pd.DataFrame, columns: Columns, source: str) -> None:
    """Check that a table has the columns that the recipe names.

    Raises:
        UserError: a column is missing; the message lists the existing ones.
    """
    for key, name in columns:
        if name is not None and name not in table.columns:
            raise UserError(
                f"{source}: no {key} column {name!r}; it has "
                f"{', '.join(map(str, table.columns)) or 'no columns'}. "
                f"Name the right one in the recipe under columns.{key}"
            )


def table_rows(table: pd.DataFrame, dataset: str, columns: Columns, source: str) -> Sieve:
    """Turn a table into rows of questions with their categories.

    Empty, too long and duplicate questions are dropped; `number` is their line, from 0.
    """
    check_columns(table, columns, source)
    sieve, seen = Sieve(), set()
    for number, record in enumerate(table.to_dict("records")):
        text = record[columns.question]
        question = text.strip() if isinstance(text, str) else ""
        row: Row = {"id": row_id(question), "question": question, "dataset": dataset}
        for key in ("category", "category_id"):
            value = record.get(getattr(columns, key) or "")
            row[key] = None if value is None or value != value else str(value)
        if not question:
            sieve.drop({**row, "number": number}, "empty")
        elif len(question) > MAXIMUM_CHARACTERS:
            sieve.drop({**row, "number": number}, "too_long")
        elif normalise(question) in seen:
            sieve.drop({**row, "number": number}, "duplicate")
        else:
            sieve.keep(row)
        seen.add(normalise(question))
    return sieve


def drop_training_questions(
    sieve: Sieve, training: Sequence[Row], shingle: int, similarity: float
) -> Sieve:
    """Drop test questions that are duplicates or near-duplicates of training questions."""
    near = NearDuplicates(shingle, similarity)
    for number, row in enumerate(training):
        near.find_and_add(f"training-{number}", row["question"])
    result = Sieve(dropped=list(sieve.dropped))
    for row in sieve.kept:
        found = near.find_and_add(row["id"], row["question"], keep_if_found=True)
        repeats = any(key.startswith("training-") for key in found)
        result.put(row, "in_training" if repeats else None)
    return result


def import_dataset(name: str, recipe: DatasetRecipe) -> Sieve:
    """Return the rows of an external data set, from a local file if the recipe has a path."""
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
) -> Sieve:
    """Return a seeded sample of `count` held-out questions of each criterion.

    A question of two criteria counts for the first. A text that is not plain English is dropped.
    """
    sieve, seen = Sieve(), set()
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
                sieve.drop(row, "duplicate")
            elif reason := text_reason(question["question"], language):
                sieve.drop(row, reason)
            elif taken >= count:
                sieve.drop(row, "over_limit")
            else:
                sieve.keep(row)
                taken += 1
            seen.add(normalise(question["question"]))
    return sieve
