"""Data sets of test inputs."""

from collections.abc import Sequence
from itertools import islice
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, model_validator

from aligners.configuration.fields import (
    Count,
    Line,
    Recipe,
    Section,
    WrongKey,
    shortened,
)
from aligners.configuration.kinds.tables import HubKeys, Table
from aligners.core.rows import Row
from aligners.core.tables import FIRST_RECORDS, column_names, read_records, value_at

AFFECTS_RESULTS = False


class Columns(Section):
    """Names of the columns of a table. A name can be a path into lists and objects, such as
    `messages.0.content`."""

    question: Line = "question"
    """Column with the question."""
    category: Line | None = None
    """Column with the name of the category. `null`: there is none."""
    category_id: Line | None = None
    """Column with the number of the category. `null`: there is none."""


def has_column(records: Sequence[Row], name: str) -> bool:
    """Return whether records have a column, or one of them a value at a path.

    A table without records has every column: it fails later, because it has no question.
    """
    found = (name in record or value_at(record, name) is not None for record in records)
    return not records or any(found)


class DatasetRecipe(Recipe):
    """A data set of test questions. The key `source` decides which other keys exist."""

    folder: ClassVar[str] = "datasets"

    source: str
    """Source of the questions: `synthetic` uses the held-out questions of all criteria, `hub` a
    data set of the Hugging Face Hub, `file` a local table."""

    @classmethod
    def class_for(cls, values: dict[str, Any]) -> "type[DatasetRecipe]":
        """Return the class of the source."""
        return SOURCES.get(str(values.get("source")), UnknownSource)


class SyntheticDatasetRecipe(DatasetRecipe):
    """The held-out questions of all criteria."""

    chosen_by: ClassVar[str] = "source: synthetic"

    source: Literal["synthetic"]


class TableRecipe(DatasetRecipe):
    """Rows of a table."""

    columns: Columns = Columns()
    """Names of the columns of the table."""
    rows: Count | None = None
    """Number of rows that are used, from the top of the table. `null`: all rows."""
    path: Table | None = None

    @model_validator(mode="after")
    def table_has_the_columns(self) -> "TableRecipe":
        """Check that a local table has the columns."""
        if self.path is None:
            return self
        records = [record for _, record in islice(read_records(self.path), FIRST_RECORDS)]
        for key, name in self.columns:
            if name is not None and not has_column(records, name):
                raise WrongKey(
                    f"columns.{key}",
                    f"{self.path} has no column {name!r}; the columns are "
                    f"{shortened(', '.join(column_names(records)))}; correct the key, or the "
                    "header of the table",
                )
        return self


class FileDatasetRecipe(TableRecipe):
    """A local table."""

    chosen_by: ClassVar[str] = "source: file"

    source: Literal["file"]
    path: Table
    """Table: .csv, .tsv, .json, .jsonl, .ndjson or .parquet, also compressed (.gz, .xz, .zst or
    .bz2)."""


class HubDatasetRecipe(HubKeys, TableRecipe):
    """A data set of the Hugging Face Hub."""

    chosen_by: ClassVar[str] = "source: hub"

    source: Literal["hub"]


class UnknownSource(DatasetRecipe):
    """A recipe that names no source, or an unknown one. Only this error is reported."""

    model_config = ConfigDict(extra="ignore")

    source: Literal["synthetic", "hub", "file"]


SOURCES: dict[str, type[DatasetRecipe]] = {
    "synthetic": SyntheticDatasetRecipe,
    "hub": HubDatasetRecipe,
    "file": FileDatasetRecipe,
}
