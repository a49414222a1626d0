"""Keys for tables: local files, and data sets on the Hugging Face Hub."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ConfigDict, model_validator

from aligners.configuration.fields import File, Form, Line, Section, WrongKey
from aligners.configuration.kinds.pretrained import REPOSITORY, Revision
from aligners.imports.hub_table import HubTable

AFFECTS_RESULTS = False

TABLE = Form(
    r"(?i)\.(csv|tsv|json|jsonl|ndjson|parquet)(\.(gz|xz|zst|bz2))?$",
    "a table; its name ends in .csv, .tsv, .json, .jsonl, .ndjson or .parquet, also with .gz, .xz, "
    ".zst or .bz2 after it",
)


def is_table(path: Path) -> Path:
    """Return the path of a table.

    Raises:
        ValueError: the file is of another kind.
    """
    TABLE.check(str(path))
    return path


Table = Annotated[File, AfterValidator(is_table)]


class HubKeys(Section):
    """A table of a data set on the Hugging Face Hub."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["split", "file"]}})

    repository: Annotated[Line, REPOSITORY]
    """Data set on the Hugging Face Hub."""
    revision: Revision
    """Commit of the repository."""
    config: Line | None = None
    """Name of the data set's configuration. `null`: it has only one."""
    data_dir: Line | None = None
    """Folder of the repository with the files of the table. `null`: all folders."""
    split: Line = "test"
    """Split of the data set."""
    file: Annotated[Line, TABLE] | None = None
    """Table of the repository that is read instead of a split. Use it for a data set that a script
    makes, because such scripts are not run."""
    path: Table | None = None
    """Local table that is read instead of the data set of the Hub, for machines without a
    network."""

    @model_validator(mode="after")
    def reads_a_split_or_a_file(self) -> "HubKeys":
        """Check that what selects the files of a split is not given for a single file."""
        for key in ("split", "config", "data_dir"):
            if self.file is not None and key in self.model_fields_set:
                raise WrongKey(key, f"the keys {key} and file exclude each other; remove one")
        return self

    def hub_table(self) -> HubTable:
        """Return the table on the Hub."""
        return HubTable(
            self.repository, self.revision, self.split, self.config, self.data_dir, self.file
        )
