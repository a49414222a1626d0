"""Which table of a data set on the Hugging Face Hub is read."""

from dataclasses import dataclass


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
