"""Data sets of test inputs."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import ConfigDict, Field

from aligners.configuration.kinds.fields import File, Recipe, Section, Text

DECIDES = False


class Columns(Section):
    """Names of the columns of a table."""

    question: Text = "question"
    """Column of the question."""
    category: Text | None = None
    """Column of the category's name. `null` if there is none."""
    category_id: Text | None = None
    """Column of the category's number. `null` if there is none."""


class DatasetRecipe(Recipe):
    """Test inputs. The other keys depend on the `source`."""

    folder: ClassVar[str] = "datasets"

    source: str
    """`synthetic` takes held-out questions of every criterion, `hub` a data set of the Hugging Face
    Hub, `file` a local table."""

    @classmethod
    def class_for(cls, values: dict[str, Any]) -> "type[DatasetRecipe]":
        """Return the class of the source."""
        return SOURCES.get(str(values.get("source")), UnknownSource)


class SyntheticDatasetRecipe(DatasetRecipe):
    """Held-out questions of every criterion."""

    chosen_by: ClassVar[str] = "source: synthetic"

    source: Literal["synthetic"]


class TableRecipe(DatasetRecipe):
    """Rows of a table."""

    columns: Columns = Columns()
    """Names of the columns of the table."""
    rows: Annotated[int, Field(ge=1)] | None = None
    """Number of rows to read from the top of the table. `null` reads all."""


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
    """Table (.csv, .json, .jsonl or .parquet) of the repository that is read instead of a split.
    Needed for a data set that a script loads, since scripts are not run."""
    path: File | None = None
    """Local table that is read instead of the Hub, for machines without a network."""


class UnknownSource(DatasetRecipe):
    """A recipe that names no source, or an unknown one. Only this error is reported."""

    model_config = ConfigDict(extra="ignore")

    source: Literal["synthetic", "hub", "file"]


SOURCES: dict[str, type[DatasetRecipe]] = {
    "synthetic": SyntheticDatasetRecipe,
    "hub": HubDatasetRecipe,
    "file": FileDatasetRecipe,
}
