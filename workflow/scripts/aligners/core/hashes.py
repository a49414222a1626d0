"""Hashes of values and files that are equal if the meaning is equal."""

import hashlib
import json
from pathlib import Path
from typing import Any

from aligners.core.rows import read_json
from aligners.core.yaml_files import read_yaml

MEBIBYTE = 2**20


def short_hash(value: Any, sort_keys: bool = True) -> str:
    """Return a hash of 10 hexadecimal digits; `sort_keys` ignores the order of the keys."""
    # YAML may contain dates; ASCII also encodes half a surrogate pair.
    text = json.dumps(value, sort_keys=sort_keys, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def quick_hash(path: Path) -> str:
    """Return a hash of a file's size, and of its first and last mebibyte.

    Weights have gigabytes. Every training changes those at the ends too.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(MEBIBYTE)
        file.seek(max(0, size - MEBIBYTE))
        parts = [start, file.read()]
    return short_hash([size, *(hashlib.sha256(part).hexdigest() for part in parts)])


def content_hash(path: Path) -> str:
    """Return a hash of a file's content that ignores comments and layout of YAML and JSON.

    The order of the keys counts, since code may iterate over them in that order.

    Raises:
        UserError: a YAML or JSON file cannot be read.
    """
    if path.suffix in (".yaml", ".yml"):
        return short_hash(read_yaml(path), sort_keys=False)
    if path.suffix == ".json":
        return short_hash(read_json(path), sort_keys=False)
    return file_hash(path)
