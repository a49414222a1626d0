"""Data sets of test inputs."""

import csv
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, model_validator

from aligners.configuration.fields import (
    Count,
    File,
    Form,
    Line,
    Recipe,
    Section,
    WrongKey,
    shortened,
)
from aligners.configuration.kinds.pretrained import REPOSITORY, Revision
from aligners.core.errors import UserError
from aligners.core.rows import Row, read_json, read_rows, read_text

AFFECTS_RESULTS = False

TABLE = Form(
    r"\.(csv|json|jsonl|parquet)$", "a table; its name ends in .csv, .json, .jsonl or .parquet"
)


def is_table(path: Path) -> Path:
    """Return the path of a table.

    Raises:
        ValueError: the file is of another kind.
    """
    TABLE.check(str(path))
    return path


Table = Annotated[File, AfterValidator(is_table)]


def column_names(table: Path) -> list[str]:
    """Return the names of the columns of a table.

    Raises:
        UserError: the table cannot be read.
    """
    if table.suffix == ".csv":
        return next(csv.reader(StringIO(read_text(table))), [])
    if table.suffix == ".parquet":
        import pyarrow.parquet

        return list(pyarrow.parquet.read_schema(table).names)
    rows = read_rows(table) if table.suffix == ".jsonl" else read_list(table)
    return list(dict.fromkeys(key for row in rows for key in row))


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


class Columns(Section):
    """Names of the columns of a table."""

    question: Line = "question"
    """Column with the question."""
    category: Line | None = None
    """Column with the name of the category. `null`: there is none."""
    category_id: Line | None = None
    """Column with the number of the category. `null`: there is none."""


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
        try:
            names = column_names(self.path)
        except (ValueError, csv.Error) as error:
            raise WrongKey(
                "path", f"{self.path} is not a {self.path.suffix} file: {error}; export it again"
            ) from None
        for key, name in self.columns:
            if name is not None and name not in names:
                raise WrongKey(
                    f"columns.{key}",
                    f"{self.path} has no column {name!r}; the columns are "
                    f"{shortened(', '.join(names))}; correct the key, or the header of the table",
                )
        return self


class FileDatasetRecipe(TableRecipe):
    """A local table."""

    chosen_by: ClassVar[str] = "source: file"

    source: Literal["file"]
    path: Table
    """Table (.csv, .json, .jsonl or .parquet)."""


class HubDatasetRecipe(TableRecipe):
    """A data set of the Hugging Face Hub."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["split", "file"]}})

    chosen_by: ClassVar[str] = "source: hub"

    source: Literal["hub"]
    repository: Annotated[Line, REPOSITORY]
    """Data set on the Hugging Face Hub."""
    revision: Revision
    """Commit of the repository."""
    split: Line = "test"
    """Split of the data set."""
    file: Annotated[Line, TABLE] | None = None
    """File of the repository (.csv, .json, .jsonl or .parquet) that is read instead of a split. Use
    it for a data set that a script makes, because such scripts are not run."""
    path: Table | None = None
    """Local table that is read instead of the data set of the Hub, for machines without a
    network."""

    @model_validator(mode="after")
    def reads_a_split_or_a_file(self) -> "HubDatasetRecipe":
        """Check that no split is given for a file, which has none."""
        if self.file is not None and "split" in self.model_fields_set:
            raise WrongKey("split", "the keys split and file exclude each other; remove one")
        return self


class UnknownSource(DatasetRecipe):
    """A recipe that names no source, or an unknown one. Only this error is reported."""

    model_config = ConfigDict(extra="ignore")

    source: Literal["synthetic", "hub", "file"]


SOURCES: dict[str, type[DatasetRecipe]] = {
    "synthetic": SyntheticDatasetRecipe,
    "hub": HubDatasetRecipe,
    "file": FileDatasetRecipe,
}
