"""Rows with stable ids in JSON Lines files, written atomically."""

import hashlib
import json
import os
import shutil
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aligners.core.errors import UserError

Row = dict[str, Any]


def row_id(*parts: str) -> str:
    """Return an id of 16 hexadecimal digits from the parts of a row (in Unicode NFC)."""
    text = "\x1f".join(unicodedata.normalize("NFC", part) for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def seeded_order(row: Row, seed: int) -> str:
    """Return a sort key that shuffles rows; it depends only on the row's id and the seed."""
    return row_id(str(seed), row["id"])


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same directory, and rename it to `path` at the end.

    A reader sees the old content or the complete new content. An error removes the temporary file
    or directory.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        for file in [partial, *partial.rglob("*")]:
            if file.is_file():
                with file.open("rb+") as handle:
                    os.fsync(handle.fileno())
        if path.is_dir():
            shutil.rmtree(path)
        os.replace(partial, path)
    finally:
        if partial.is_dir():
            shutil.rmtree(partial)
        else:
            partial.unlink(missing_ok=True)


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        UserError: the file is missing, cannot be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; correct the path, or create the file first"
        ) from None
    except OSError as error:  # such as a directory, or a file of another user
        raise UserError(f"{path}: {error.strerror}; give the path of a readable file") from None
    except UnicodeDecodeError as error:
        line = path.read_bytes()[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8; convert the file to UTF-8") from None


def read_rows(path: Path) -> list[Row]:
    """Read a JSON Lines file, which has one object per line.

    Raises:
        UserError: a line is not a complete JSON object.
    """
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if "\\u" in line:  # An escape may be half of a surrogate pair, invalid in UTF-8.
                json.dumps(row, ensure_ascii=False).encode()
        except (json.JSONDecodeError, UnicodeEncodeError):
            row = None
        if not isinstance(row, dict):
            raise UserError(
                f"{path}, line {number}: not a complete JSON object; "
                "fix the line, or delete the file and run again to recreate it"
            )
        rows.append(row)
    return rows


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON Lines, atomically."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as handle:
        for row in rows:
            handle.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: the file is missing or not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {error.lineno}: not JSON; "
            "fix the line, or delete the file and run again to recreate it"
        ) from None


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def by_id(rows: Iterable[Row]) -> dict[str, Row]:
    """Return a mapping from ids to rows."""
    return {row["id"]: row for row in rows}
