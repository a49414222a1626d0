"""The record of a squad, squad.json: what it consists of, and the checks of its directory."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from aligners.configuration.results import TRAINING_RECORD
from aligners.core.errors import UserError
from aligners.core.hashes import file_hash
from aligners.core.rows import read_json

FILE_NAME = "squad.json"
# Raised when a reader of the earlier format could not read the new one.
FORMAT = 1
AGAIN = "copy or download the squad again, or make it again with the rule assemble_squad"

Finite = Annotated[float, Field(allow_inf_nan=False)]


class Member(BaseModel):
    """What a squad has for one criterion.

    Attributes:
        criterion: its name.
        languages: codes of ISO 639-1.
        principles: the criterion's principles as text. A conditioned aligner reads them.
        threshold: log odds of the inspector from which on a text needs no correction.
        inspector, aligner: directories in that of the squad. All criteria share a conditioned
            aligner.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    criterion: Annotated[str, Field(min_length=1)]
    languages: list[str]
    principles: str
    threshold: Finite
    inspector: str
    aligner: str


class EncoderSettings(BaseModel):
    """Settings of the sentence encoder that decides whether a question is familiar."""

    model_config = ConfigDict(extra="forbid", strict=True)

    max_tokens: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=1)]


class FileRecord(BaseModel):
    """Size in bytes and SHA-256 of a file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    bytes: Annotated[int, Field(ge=0)]
    sha256: str


class Rate(BaseModel):
    """A share with its 95% interval; all three are None if n is 0."""

    value: Finite | None
    low: Finite | None
    high: Finite | None
    n: Annotated[int, Field(ge=0)]


class HeldOutRates(BaseModel):
    """What the squad did to texts of the test split.

    Attributes:
        criterion: of the labels; None for all criteria together.
        aligned: the share of texts with label 1 that the criterion's aligner changed. If the labels
            are right, it is an upper bound of the harm that this aligner does.
        misaligned: the share of texts with label 0 that it changed.
    """

    criterion: str | None
    aligned: Rate
    misaligned: Rate


class SquadRecord(BaseModel):
    """What squad.json has.

    Attributes:
        format: version of this format.
        name: of the squad, for readers.
        system: one of `aligners.configuration.systems`; it decides on the gate.
        backbone, inspector: names of the recipes.
        members: one for each criterion; their order breaks ties.
        least_rise: of the gate, in logits.
        batch_tokens: tokens in a batch of generation.
        encoder: settings of the encoder in `encoder/`.
        held_out: what the squad did to texts of the test split; None before it was tested.
        versions: of the packages that made it.
        files: by path in the directory.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int
    name: str
    system: str
    backbone: str
    inspector: str
    members: Annotated[list[Member], Field(min_length=1)]
    least_rise: Finite
    batch_tokens: Annotated[int, Field(ge=1)]
    encoder: EncoderSettings
    held_out: list[HeldOutRates] | None
    versions: dict[str, str]
    files: dict[str, FileRecord]

    @property
    def criteria(self) -> list[str]:
        """The names of the criteria, in order."""
        return [member.criterion for member in self.members]


def read_record(directory: Path) -> SquadRecord:
    """Read the record of a squad.

    Raises:
        UserError: the directory or its record is missing or damaged, or of another version.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        raise UserError(
            f"{directory}: not the directory of a squad, because {FILE_NAME} is missing; give "
            "results/squads/<backbone>/<system>, or its repository on the Hub"
        )
    version = read_json(path, dict[str, Any]).get("format")
    if version != FORMAT:
        raise UserError(
            f"{path}: the format is {version!r}, and this version of aligners reads {FORMAT}; "
            "make the squad again, or use the version of aligners that made it"
        )
    return SquadRecord.model_validate(read_json(path, SquadRecord))


def file_records(directory: Path) -> dict[str, FileRecord]:
    """Return size and checksum of each file in a directory, by path, in order.

    The records of the trainings are left out: they contain times, and equal runs must have equal
    records of a squad.
    """
    files = sorted(
        path for path in directory.rglob("*") if path.is_file() and path.name != TRAINING_RECORD
    )
    return {
        path.relative_to(directory).as_posix(): FileRecord(
            bytes=path.stat().st_size, sha256=file_hash(path)
        )
        for path in files
    }


def check_files(directory: Path, record: SquadRecord) -> None:
    """Check that the files of a squad are those of its record; other files are ignored.

    Raises:
        UserError: a file is missing or has another content, or a path leads out of the directory.
    """
    for name, expected in record.files.items():
        path = directory / name
        if not is_inside(name):
            raise UserError(f"{directory / FILE_NAME}: the file {name!r} is not in it; {AGAIN}")
        if not path.is_file():
            raise UserError(f"{path}: no such file, but {FILE_NAME} lists it; {AGAIN}")
        size = path.stat().st_size
        if size != expected.bytes:
            raise UserError(f"{path}: {size} bytes, but {FILE_NAME} says {expected.bytes}; {AGAIN}")
        if file_hash(path) != expected.sha256:
            raise UserError(f"{path}: its checksum is not that in {FILE_NAME}; {AGAIN}")
    for place in sorted({one for each in record.members for one in (each.inspector, each.aligner)}):
        if not is_inside(place) or not any(name.startswith(f"{place}/") for name in record.files):
            raise UserError(
                f"{directory / FILE_NAME}: it lists no files of the model {place!r}; {AGAIN}"
            )


def is_inside(name: str) -> bool:
    """Return whether a relative path stays in its directory."""
    return not name.startswith("/") and ".." not in Path(name).parts
