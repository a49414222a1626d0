"""Test inputs: held-out synthetic questions, and data sets from the Hub or a file."""

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
from aligners.core.progress import track
from aligners.core.rows import Row, read_json, read_rows, read_text, row_id, seeded_order
from aligners.synthesis.filters import text_reason
from aligners.synthesis.near_duplicates import NearDuplicates, ShingledTexts, normalise

MAXIMUM_CHARACTERS = 20_000


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


def read_list(path: Path) -> list[Row]:
    """Read a JSON file that is a list of objects.

    Raises:
        UserError: the file is missing, not JSON, or not a list of objects.
    """
    rows = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(
            f"{path}: not a list of objects; change it to a list of objects, or give a .jsonl file "
            "with one object per line"
        )
    return rows


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


def table_rows(table: pd.DataFrame, dataset: str, columns: Columns, source: str) -> Sieve:
    """Return the rows of a table as questions with their categories.

    Empty, too long and duplicate questions are dropped. Their `number` counts rows from 0.
    """
    check_columns(table, columns, source)
    sieve, seen = Sieve(), set()
    for number, record in enumerate(table.to_dict("records")):
        text = record[columns.question]
        question = text.strip() if isinstance(text, str) else ""
        row: Row = {"id": row_id(question), "question": question, "dataset": dataset}
        for key in ("category", "category_id"):
            value = record.get(getattr(columns, key) or "")
            is_missing = value is None or value != value  # NaN differs from itself.
            row[key] = None if is_missing else str(value)
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
    texts = [row["question"] for row in [*training, *sieve.kept]]
    near = NearDuplicates(ShingledTexts(texts, shingle, similarity))
    for number in range(len(training)):
        near.add(number)
    result = Sieve(dropped=list(sieve.dropped))
    progress = track(sieve.kept, len(sieve.kept), "comparison with training questions")
    for number, row in enumerate(progress, start=len(training)):
        result.put(row, None if near.first(number) is None else "in_training")
    return result


def import_dataset(name: str, recipe: DatasetRecipe) -> Sieve:
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
) -> Sieve:
    """Return a seeded sample of at most `count` held-out questions per criterion.

    `held_out` has a list of questions per criterion. A question of two criteria counts for the
    first one. A question that is not plain English is dropped.
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
