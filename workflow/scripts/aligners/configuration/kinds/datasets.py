"""Data sets of test inputs."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from aligners.configuration.fields import File, Recipe, Section, Text

DECIDES = False


class Columns(Section):
    """Names of the columns of a table."""

    question: Text = "question"
    """Column with the question."""
    category: Text | None = None
    """Column with the name of the category. `null`: there is none."""
    category_id: Text | None = None
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
    rows: Annotated[int, Field(ge=1)] | None = None
    """Number of rows that are used, from the top of the table. `null`: all rows."""


class FileDatasetRecipe(TableRecipe):
    """A local table."""

    chosen_by: ClassVar[str] = "source: file"

    source: Literal["file"]
    path: File
    """Table (.csv, .json, .jsonl or .parquet)."""


class HubDatasetRecipe(TableRecipe):
    """A data set of the Hugging Face Hub."""

    chosen_by: ClassVar[str] = "source: hub"

    source: Literal["hub"]
    repository: Text
    """Data set on the Hugging Face Hub."""
    revision: Text
    """Commit of the repository."""
    split: Text = "test"
    """Split of the data set."""
    file: Text | None = None
    """File of the repository (.csv, .json, .jsonl or .parquet) that is read instead of a split. Use
    it for a data set that a script makes, because such scripts are not run."""
    path: File | None = None
    """Local table that is read instead of the data set of the Hub, for machines without a
    network."""


class UnknownSource(DatasetRecipe):
    """A recipe that names no source, or an unknown one. Only this error is reported."""

    model_config = ConfigDict(extra="ignore")

    source: Literal["synthetic", "hub", "file"]


SOURCES: dict[str, type[DatasetRecipe]] = {
    "synthetic": SyntheticDatasetRecipe,
    "hub": HubDatasetRecipe,
    "file": FileDatasetRecipe,
}
