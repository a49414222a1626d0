"""The options of `aligners import`, apart from the command, which takes longer to load."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from aligners.imports.conversations import Turns
from aligners.imports.formats import Kind


@dataclass(frozen=True)
class ImportOptions:
    """What to import, beside the table.

    Attributes:
        criterion: criterion that uses the data; without it, the recipe alone is written.
        kind: what a row is used for; without it, the usual kind of the format.
        name: of the import; without it, the name of the file or the repository.
        format: format of the table, if its columns fit several formats.
        columns: the columns of a table of no known format, such as
            `question=prompt response=messages.-1.content`.
        turns: what the question of a chat with several turns is.
        license: licence of the data, such as "CC BY-NC 4.0".
        config: of a data set on the Hub: name of its configuration.
        data_dir: of a data set on the Hub: folder with its files.
        split: of a data set on the Hub: its split; without it, `train`.
        file: of a data set on the Hub: one file that is read instead of a split.
    """

    criterion: str | None = None
    kind: Annotated[Kind | None, arg(name="as")] = None
    name: str | None = None
    format: str | None = None
    columns: tuple[str, ...] = ()
    turns: Turns = "last"
    license: str | None = None
    config: str | None = None
    data_dir: str | None = None
    split: str | None = None
    file: str | None = None
