"""Tables of data sets on the Hugging Face Hub."""

from collections.abc import Iterator
from pathlib import Path

from aligners.core.errors import UserError
from aligners.core.hub_errors import HUB_ERRORS, describe, without_token
from aligners.core.rows import Row
from aligners.core.tables import Record, read_records
from aligners.imports.hub_table import HubTable


def hub_records(table: HubTable) -> Iterator[Record]:
    """Yield the records of a table on the Hub, each after its place.

    Raises:
        UserError: the Hub cannot be reached; it does not have the data set, revision, file,
            configuration or split; or the data set needs a script. Scripts are never executed.
    """
    try:
        if table.file:
            yield from read_records(download(table, table.file))
        else:
            rows = enumerate(load_split(table), start=1)
            yield from ((f"row {number}", row) for number, row in rows)
    except HUB_ERRORS as error:
        reason = without_token(describe(error, "run again"))
        raise UserError(
            f"data set {table.repository}: {reason}; check the recipe and the network; or set "
            "in the recipe `file` to a table of the repository, or `path` to a local table"
        ) from None


def load_split(table: HubTable) -> Iterator[Row]:
    """Return the rows of a split, downloaded with the library `datasets`.

    Raises:
        UserError: the data set has several configurations, and none is named.
    """
    from datasets import load_dataset

    try:
        split = load_dataset(
            table.repository,
            table.config,
            data_dir=table.data_dir,
            split=table.split,
            revision=table.revision,
        )
    except ValueError as error:
        if "Config name is missing" in str(error):
            reason = " ".join(str(error).split()).removesuffix(".")
            raise UserError(
                f"data set {table.repository}: {reason}; set the key config to one of them"
            ) from None
        raise
    return iter(split)


def download(table: HubTable, file: str) -> Path:
    """Download one file of the repository."""
    from huggingface_hub import hf_hub_download

    repository, revision = table.repository, table.revision
    return Path(hf_hub_download(repository, file, repo_type="dataset", revision=revision))
