"""The card of a data set: README.md as the Hugging Face Hub reads and shows it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard, DatasetCardData
from huggingface_hub.constants import REPOCARD_NAME

from aligners.core.errors import UserError
from aligners.core.hashes import file_hash
from aligners.core.rows import Row, read_rows
from aligners.publishing.cards import ENGLISH, PAPER, save_card, table

SPLITS = ("train", "validation", "test")
# Fields of the training sets; another field is listed with its type alone.
MEANINGS = {
    "id": "of the row",
    "question_id": "of the question",
    "question": "the question",
    "response": "the answer that is corrected or judged",
    "aligned_response": "the corrected answer",
    "identity": "whether the two answers are the same: a good answer is left alone",
    "label": "1: the response is aligned, 0: it is misaligned",
}
TYPES = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    list: "list",
    dict: "object",
    type(None): "null",
}
LIMITS = """\
- Rows that an LLM wrote hold its errors and its biases, and the terms of its provider may bind
  what is done with them.
- Nobody has read every row."""


def write_data_card(directory: Path, repo: str) -> None:
    """Write README.md for a directory of JSON Lines files.

    train.jsonl, validation.jsonl and test.jsonl become the splits of one configuration; every
    other file becomes a configuration of its own.

    Args:
        directory: holds the files, *.jsonl.
        repo: name of the data set on the Hub, owner/name.

    Raises:
        UserError: a line of a file is not a complete JSON object, or no file has a row.
    """
    files = {path: read_rows(path) for path in sorted(directory.glob("*.jsonl"))}
    # A file without rows has no fields either, and would spoil the loading of its neighbours.
    configurations = configure([path.stem for path, rows in files.items() if rows])
    if not configurations:
        raise UserError(f"{directory}: no file *.jsonl in it has a row; make the rows first")
    name = repo.split("/")[1]
    metadata = DatasetCardData(
        language=ENGLISH, pretty_name=name, tags=["aligners", "alignment"], configs=configurations
    )
    sections = {
        name: f"Rows for the training of aligners and inspectors, or made with them.\n\n{PAPER}",
        "Use": usage(repo, configurations),
        "Files": table(
            ("file", "rows", "SHA-256"),
            [(f"`{path.name}`", len(rows), f"`{file_hash(path)}`") for path, rows in files.items()],
        ),
        "Fields": table(("field", "type", "meaning"), fields(files)),
        "Limits": LIMITS,
    }
    save_card(DatasetCard, metadata, sections, directory / REPOCARD_NAME)


def configure(stems: Sequence[str]) -> list[dict[str, Any]]:
    """Return the configurations of files, given without their endings, as the Hub reads them."""
    splits = [data_file(split, split) for split in SPLITS if split in stems]
    # By custom, the only split of a configuration is called train.
    others = {stem: [data_file("train", stem)] for stem in stems if stem not in SPLITS}
    configurations = {"default": splits, **others} if splits else others
    return [{"config_name": name, "data_files": files} for name, files in configurations.items()]


def data_file(split: str, stem: str) -> dict[str, str]:
    """Return the entry of a configuration that makes a file one of its splits."""
    return {"split": split, "path": f"{stem}.jsonl"}


def usage(repo: str, configurations: Sequence[Mapping[str, Any]]) -> str:
    """Say how the first configuration is loaded."""
    first = configurations[0]
    split = first["data_files"][0]["split"]
    return f"""\
```python
from datasets import load_dataset

rows = load_dataset("{repo}", "{first["config_name"]}", split="{split}")
```"""


def fields(files: Mapping[Path, Sequence[Row]]) -> list[tuple[str, str, str]]:
    """Return the fields of all rows with their types and meanings, in order of appearance."""
    types: dict[str, dict[str, None]] = {}
    for rows in files.values():
        for row in rows:
            for name, value in row.items():
                types.setdefault(name, {})[TYPES[type(value)]] = None
    return [
        (f"`{name}`", " or ".join(kinds), MEANINGS.get(name, "")) for name, kinds in types.items()
    ]
