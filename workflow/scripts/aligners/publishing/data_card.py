"""The card of a data set: a README.md that the Hugging Face Hub reads and shows."""

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData

from aligners.core.errors import UserError
from aligners.core.hashes import file_hash
from aligners.core.rows import Row, read_rows
from aligners.publishing.licenses import non_commercial

TEMPLATE = Path(__file__).parent / "templates" / "data_card.md.j2"
SPLITS = ("train", "validation", "test")
# In a card that is written before the repository is known.
ANY_REPO = "owner/name"
ABOUT = "Rows for training aligners and inspectors, or corrections and scores by these models."
TYPES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "list",
    dict: "object",
    type(None): "null",
}


def data_card(
    directory: Path,
    repo: str = ANY_REPO,
    title: str | None = None,
    about: str = ABOUT,
    languages: Sequence[str] = (),
) -> DatasetCard:
    """Return the card of a directory of JSON Lines files.

    train.jsonl, validation.jsonl and test.jsonl become the splits of one configuration; every
    other file becomes a configuration of its own.

    Args:
        directory: of the files, *.jsonl.
        repo: name of the data set on the Hub, owner/name.
        title: of the card; by default, the name without the owner.
        about: what the rows are.
        languages: of the rows, as codes of ISO 639-1; empty if they are not known.

    Raises:
        UserError: a line of a file is not a complete JSON object, or no file has a row.
    """
    files = {path: read_rows(path) for path in sorted(directory.glob("*.jsonl"))}
    # A file without rows has no fields, and the other splits would not load with it.
    configurations = configure([path.stem for path, rows in files.items() if rows])
    if not configurations:
        raise UserError(f"{directory}: no *.jsonl file has a row; give a directory with rows")
    licenses = count_licenses(row for rows in files.values() for row in rows)
    return DatasetCard.from_template(
        DatasetCardData(
            language=list(languages) or None,
            pretty_name=title or repo.split("/")[1],
            tags=["aligners", "alignment"],
            configs=configurations,
        ),
        template_path=str(TEMPLATE),
        repo=repo,
        any_repo=repo == ANY_REPO,
        about=about,
        licenses=licenses,
        non_commercial=non_commercial(licenses),
        files=[
            {"name": path.name, "rows": len(rows), "sha256": file_hash(path)}
            for path, rows in files.items()
        ],
        fields=field_types(row for rows in files.values() for row in rows),
    )


def configure(stems: Sequence[str]) -> list[dict[str, Any]]:
    """Return the Hub's configurations of files, which are given by their names without `.jsonl`."""
    splits = [data_file(split, split) for split in SPLITS if split in stems]
    # By convention, the only split of a configuration is called train.
    others = {stem: [data_file("train", stem)] for stem in stems if stem not in SPLITS}
    configurations = {"default": splits, **others} if splits else others
    return [{"config_name": name, "data_files": files} for name, files in configurations.items()]


def data_file(split: str, stem: str) -> dict[str, str]:
    """Return a configuration's entry for a file as one of its splits."""
    return {"split": split, "path": f"{stem}.jsonl"}


def count_licenses(rows: Iterable[Row]) -> Counter[str]:
    """Return the number of rows by the licence of their source; rows without one do not count."""
    return Counter(str(row["license"]) for row in rows if row.get("license"))


def field_types(rows: Iterable[Row]) -> dict[str, list[str]]:
    """Return the types of each field of the rows, in order of appearance."""
    types: dict[str, dict[str, None]] = {}
    for row in rows:
        for name, value in row.items():
            types.setdefault(name, {})[TYPES[type(value)]] = None
    return {name: list(found) for name, found in types.items()}
