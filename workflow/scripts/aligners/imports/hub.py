"""Tables of data sets on the Hugging Face Hub."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from aligners.core.errors import UserError
from aligners.core.rows import Row
from aligners.core.tables import Record, read_records


@dataclass(frozen=True)
class HubTable:
    """A table of a data set on the Hub.

    Attributes:
        repository, revision: of the data set.
        split: of the data set.
        config: name of the configuration, for a data set that has several.
        data_dir: folder of the repository with the files of the table.
        file: the one file that is read instead of a split.
    """

    repository: str
    revision: str
    split: str
    config: str | None = None
    data_dir: str | None = None
    file: str | None = None


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
    except (OSError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())
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


def newest_commit(repository: str, revision: str) -> str:
    """Return the commit of a data set's branch or tag, so that a recipe can name it.

    Raises:
        UserError: the Hub cannot be reached, or does not have the data set or the revision.
    """
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    try:
        commit = HfApi().dataset_info(repository, revision=revision).sha
    except (OSError, HFValidationError, httpx2.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"data set {repository}: {reason}; check the name, the revision and the network, and "
            "set HF_TOKEN in the environment if the data set is private or gated"
        ) from None
    assert commit is not None
    return commit
