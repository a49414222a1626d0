"""Imports: data of one's own that criteria use beside or in place of synthetic data."""

from collections.abc import Mapping
from itertools import islice
from typing import Any, ClassVar, Literal

from pydantic import ConfigDict, model_validator

from aligners.configuration.fields import (
    Count,
    Line,
    Recipe,
    Section,
    Similarity,
    WrongKey,
    shortened,
)
from aligners.configuration.kinds.tables import HubKeys, Table
from aligners.core.tables import FIRST_RECORDS, column_names, read_records, value_at
from aligners.imports.conversations import Turns
from aligners.imports.formats import (
    BY_NAME,
    FORMATS,
    TEXTS_OF_KIND,
    Format,
    Kind,
    fitting,
    format_of_columns,
)

AFFECTS_RESULTS = False


class ImportColumns(Section):
    """Names of the columns of a table. A name can be a path into lists and objects, such as
    `messages.0.content`."""

    question: Line | None = None
    """Column with the question."""
    response: Line | None = None
    """Column with the response of the LLM."""
    aligned_response: Line | None = None
    """Column with the corrected response."""
    chosen: Line | None = None
    """Column with the preferred response."""
    rejected: Line | None = None
    """Column with the other response."""
    label: Line | None = None
    """Column with the label: true or 1 for an aligned response, false or 0 for a misaligned one."""


class ImportRecipe(Recipe):
    """Rows of a table, used to train. The key `source` decides which other keys exist."""

    folder: ClassVar[str] = "imports"

    source: str
    """Source of the table: `file` is a local table, `hub` a data set of the Hugging Face Hub."""
    kind: Kind
    """What a row is used for. `corrections` train aligners and inspectors; `preferences` train
    inspectors, and aligners as `least_similarity` defines; `labels` train inspectors. The teacher
    corrects `responses`, and for `questions` it also writes the responses."""
    format: Line | None = None
    """Format of the table, for columns that fit several formats. `null`: the format is found by the
    columns. docs/your-own-data.md has the list."""
    columns: ImportColumns | None = None
    """Names of the columns, for a table of no known format: those of the texts of the kind."""
    turns: Turns = "last"
    """What the question of a chat with several turns is: its `last` message, all messages `joined`,
    or none, so that such chats are dropped (`drop`)."""
    rows: Count | None = None
    """Number of records that are used, from the top of the table. `null`: all records."""
    least_similarity: Similarity | None = None
    """Least similarity of the two responses of a preference to train aligners with it. The better
    response is usually written from nothing, and an aligner that learns to write so corrects
    nothing. `null`: preferences train inspectors alone. Look at the histogram
    results/synthetic/{criterion}/pairs_similarity.png first."""
    license: Line | None = None
    """Licence of the data, such as CC BY-NC 4.0. It is recorded in each row, in cards, and in what
    is published."""

    @classmethod
    def class_for(cls, values: dict[str, Any]) -> "type[ImportRecipe]":
        """Return the class of the source."""
        return SOURCES.get(str(values.get("source")), UnknownImportSource)

    @model_validator(mode="after")
    def keys_fit_the_kind(self) -> "ImportRecipe":
        """Check the keys that depend on the kind or on each other."""
        if self.least_similarity is not None and self.kind != "preferences":
            raise WrongKey("least_similarity", "only preferences have this key; remove it")
        if self.format is not None and self.columns is not None:
            raise WrongKey("format", "the keys format and columns exclude each other; remove one")
        if self.columns is not None:
            check_columns(self.kind, self.columns)
        if self.format is not None:
            check_format(self.kind, self.format)
        return self


def needed_columns(kind: Kind) -> tuple[str, ...]:
    """Return the fields of a kind of row that need a column."""
    return (*TEXTS_OF_KIND[kind], *(("label",) if kind == "labels" else ()))


def check_columns(kind: Kind, columns: ImportColumns) -> None:
    """Check that the columns are those of a kind.

    Raises:
        WrongKey: one is missing, or is of another kind.
    """
    needed = needed_columns(kind)
    for name, column in columns:
        if column is None and name in needed:
            raise WrongKey(
                f"columns.{name}",
                f"missing; {kind} need the columns {', '.join(needed)}; add it",
            )
        if column is not None and name not in needed:
            raise WrongKey(
                f"columns.{name}",
                f"{kind} have no such column, but {', '.join(needed)}; remove it, or correct kind",
            )


def check_format(kind: Kind, name: str) -> None:
    """Check that a format exists and has rows of a kind.

    Raises:
        WrongKey: it does not.
    """
    found = BY_NAME.get(name)
    if found is None:
        known = ", ".join(one.name for one in FORMATS if kind in one.reads)
        raise WrongKey(
            "format", f"there is no format {shortened(name)}; use one of {kind}, such as {known}"
        )
    if found.reader(kind) is None:
        raise WrongKey(
            "format", f"the format {name} has {', '.join(found.kinds())}, and no {kind}; correct it"
        )


def find_format(recipe: ImportRecipe, records: list[dict[str, Any]]) -> Format:
    """Return the format of a table with these first records.

    Raises:
        ValueError: no format of the recipe's kind fits, several do, or a column is missing.
    """
    names = ", ".join(column_names(records)) or "none"
    if recipe.columns is not None:
        columns: Mapping[str, str] = {
            name: column for name, column in recipe.columns if column is not None
        }
        for name, column in columns.items():
            if all(value_at(record, column) is None for record in records):
                raise WrongKey(
                    f"columns.{name}",
                    f"no record has a value in {column!r}; the columns are {names}; correct it",
                )
        return format_of_columns(recipe.kind, columns)
    if recipe.format is not None:
        named = BY_NAME[recipe.format]
        if missing := [one for one in named.columns if one not in column_names(records)]:
            raise WrongKey(
                "format",
                f"the format {named.name} needs the columns {', '.join(missing)}, and the table "
                f"has {names}; correct it",
            )
        return named
    found = fitting(records, recipe.kind)
    if len(found) == 1:
        return found[0]
    if found:
        raise WrongKey(
            "format",
            f"the columns ({names}) fit several formats; set format to one of "
            f"{', '.join(one.name for one in found)}",
        )
    raise WrongKey(
        "kind",
        f"no known format of {recipe.kind} has the columns of the table ({names}); correct kind, "
        f"or name the columns of {' and '.join(needed_columns(recipe.kind))} under the key columns",
    )


class LocalTable(ImportRecipe):
    """A table whose columns are checked before the first job, if it is a local one."""

    path: Table | None = None

    @model_validator(mode="after")
    def table_has_the_columns(self) -> "LocalTable":
        """Check that a local table has a format of the kind, or the columns."""
        if self.path is not None:
            records = [record for _, record in islice(read_records(self.path), FIRST_RECORDS)]
            if not records:
                raise WrongKey("path", f"{self.path} has no records; add some")
            find_format(self, records)
        return self


class FileImportRecipe(LocalTable):
    """A local table."""

    chosen_by: ClassVar[str] = "source: file"

    source: Literal["file"]
    path: Table
    """Table: .csv, .tsv, .json, .jsonl, .ndjson or .parquet, also compressed (.gz, .xz, .zst or
    .bz2)."""


class HubImportRecipe(HubKeys, LocalTable):
    """A data set of the Hugging Face Hub."""

    chosen_by: ClassVar[str] = "source: hub"

    source: Literal["hub"]
    split: Line = "train"
    """Split of the data set."""


class UnknownImportSource(ImportRecipe):
    """A recipe that names no source, or an unknown one. Only this error is reported."""

    model_config = ConfigDict(extra="ignore")

    source: Literal["file", "hub"]


SOURCES: dict[str, type[ImportRecipe]] = {
    "file": FileImportRecipe,
    "hub": HubImportRecipe,
}
