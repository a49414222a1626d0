"""Hashes of values and files: equal where the meaning is equal."""

import hashlib
import json
from pathlib import Path
from typing import Any

from aligners.core.rows import read_json
from aligners.core.yaml_files import read_yaml


def one_form(value: Any) -> Any:
    """Return a JSON value in which equal numbers are spelled alike: 1.0 as 1."""
    if isinstance(value, dict):
        return {str(key): one_form(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [one_form(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def short_hash(value: Any, sort_keys: bool = True) -> str:
    """Return 10 hexadecimal digits of a JSON value; with `sort_keys`, keys may have any order."""
    text = json.dumps(one_form(value), sort_keys=sort_keys, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_hash(path: Path) -> str:
    """Return a hash of a file's content: comments and layout of YAML and JSON do not count.

    The order of keys counts: who reads the file may go through them in that order.

    Raises:
        UserError: a YAML or JSON file that cannot be read.
    """
    if path.suffix in (".yaml", ".yml"):
        return short_hash(read_yaml(path), sort_keys=False)
    if path.suffix == ".json":
        return short_hash(read_json(path), sort_keys=False)
    return file_hash(path)
