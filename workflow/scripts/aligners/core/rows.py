"""Rows with stable ids in JSON Lines files, written atomically."""

import codecs
import glob
import hashlib
import json
import logging
import os
import shutil
import socket
import unicodedata
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from aligners.core.errors import UserError
from aligners.core.file_checks import find_field_problem, find_shape_problem

logger = logging.getLogger(__name__)

Row = dict[str, Any]

BOM = codecs.BOM_UTF8


def refuse_constant(name: str) -> None:
    """Refuse NaN and Infinity, which Python would read but JSON does not have.

    Raises:
        ValueError: always.
    """
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_constant=refuse_constant)


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
    or directory. If the process is killed, it stays until the next process on the same machine
    writes `path`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_partials(path)
    partial = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.partial")
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
        remove(partial)


def remove_partials(path: Path) -> None:
    """Remove what killed processes of this machine left when they wrote `path`.

    The directory may be shared with other machines. Whether their processes live is not known, so
    their files stay.
    """
    start = f".{path.name}.{socket.gethostname()}."
    for partial in path.parent.glob(f"{glob.escape(start)}*.partial"):
        pid = partial.name.removeprefix(start).removesuffix(".partial")
        # In a container, a new process often has the number of an earlier one.
        if pid.isdecimal() and (int(pid) == os.getpid() or not is_alive(int(pid))):
            logger.info("%s: a killed job left this; it is removed", partial)
            remove(partial)


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


def remove(path: Path) -> None:
    """Remove a file or a directory, if it exists."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)  # Another process may be removing it too.
    else:
        path.unlink(missing_ok=True)


def open_to_read(path: Path) -> BinaryIO:
    """Open a file to read its bytes.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise UserError(
            f"{path}: no such file; correct the path, or create the file first"
        ) from None
    except OSError as error:  # such as a directory, or a file of another user
        raise UserError(f"{path}: {error.strerror}; give the path of a readable file") from None


def read_text(path: Path) -> str:
    """Read a UTF-8 text file.

    Raises:
        UserError: the file is missing, cannot be read, or is not UTF-8.
    """
    with open_to_read(path) as handle:
        content = handle.read()
    try:
        return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8; convert the file to UTF-8") from None


def read_rows(path: Path, needs: Sequence[str] = (), repeated_ids: bool = False) -> list[Row]:
    """Return the rows of a JSON Lines file as a list (see `iterate_rows`)."""
    return list(iterate_rows(path, needs, repeated_ids))


def iterate_rows(
    path: Path, needs: Sequence[str] = (), repeated_ids: bool = False
) -> Iterator[Row]:
    """Yield the rows of a JSON Lines file, which has one object per line.

    Args:
        path: of the file.
        needs: the fields that the caller reads. Each row must have them, with the types of
            `aligners.core.file_checks`.
        repeated_ids: whether an id may occur several times, if `needs` has "id".

    Raises:
        UserError: the file cannot be read, a line is not a complete JSON object, a field is missing
            or has another type, or an id occurs twice.
    """
    return (row for _, row in iterate_places(path, needs, repeated_ids))


def iterate_places(
    path: Path, needs: Sequence[str] = (), repeated_ids: bool = False
) -> Iterator[tuple[int, Row]]:
    """Yield each row after its place, the offset of its line in bytes (see `iterate_rows`)."""
    names, ids, place = tuple(needs), set[str](), 0
    with open_to_read(path) as handle:
        for number, line in enumerate(handle, start=1):
            try:
                row = parse_row(line.removeprefix(BOM) if number == 1 else line)
                if row is not None:
                    check_row(row, names, ids)
            except ValueError as error:
                raise UserError(
                    f"{path}, line {number}: {error}; "
                    "fix the line; if a job wrote the file, you can also delete it and run again"
                ) from None
            if row is not None:
                if "id" in names and not repeated_ids:
                    ids.add(row["id"])
                yield place, row
            place += len(line)


def parse_row(line: bytes) -> Row | None:
    """Return the object of a line, or None for an empty line.

    Raises:
        ValueError: the line is not a complete JSON object in UTF-8.
    """
    if not line.strip():
        return None
    try:
        row = DECODER.decode(line.decode())
        if b"\\u" in line:  # An escape may be half of a surrogate pair, invalid in UTF-8.
            json.dumps(row, ensure_ascii=False).encode()
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except UnicodeEncodeError:
        raise ValueError("not JSON in UTF-8: half of a surrogate pair") from None
    except (json.JSONDecodeError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise ValueError("not a complete JSON object")
    return row


def check_row(row: Row, names: tuple[str, ...], earlier_ids: Container[str]) -> None:
    """Check the fields of a row that the caller reads, and that its id is new.

    Raises:
        ValueError: a field is missing or has another type, or the id occurs in `earlier_ids`.
    """
    if names and (problem := find_field_problem(row, names)):
        raise ValueError(problem)
    if "id" in names and row["id"] in earlier_ids:
        raise ValueError(f"the id {row['id']!r} is also that of an earlier line")


class RowFile:
    """A file of rows, of which only the places are in memory. A row is read when it is used."""

    def __init__(self, path: Path, needs: Sequence[str]):
        """Open the file; `needs` are the fields that the caller reads."""
        self.path, self.needs = path, needs
        self.handle = open_to_read(path)

    def __enter__(self) -> "RowFile":
        return self

    def __exit__(self, *error: object) -> None:
        self.handle.close()

    def places(self) -> Iterator[tuple[int, Row]]:
        """Yield each row after its place (see `iterate_places`)."""
        return iterate_places(self.path, self.needs)

    def __getitem__(self, place: int) -> Row:
        self.handle.seek(place)
        row = parse_row(self.handle.readline().removeprefix(BOM))
        assert row is not None
        return row


def number_of_rows(path: Path) -> int:
    """Return the number of rows of a JSON Lines file, without reading them."""
    with open_to_read(path) as handle:
        return sum(1 for line in handle if line.strip())


@contextmanager
def row_writer(path: Path) -> Iterator[Callable[[Row], object]]:
    """Yield a function that appends a row to a JSON Lines file, which is written atomically."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8") as handle:
        yield lambda row: handle.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as JSON Lines, atomically."""
    with row_writer(path) as write:
        for row in rows:
            write(row)


def read_json(path: Path, shape: Any = Any) -> Any:
    """Read a JSON file; its value must be of the type `shape`.

    Raises:
        UserError: the file is missing, not JSON, or has a value of another type.
    """
    hint = "correct it, or delete the file and run again to recreate it"
    text = read_text(path)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: not JSON; {hint}") from None
    except (ValueError, RecursionError) as error:  # such as a number with thousands of digits
        raise UserError(f"{path}: not JSON: {error}; {hint}") from None
    if problem := find_shape_problem(text, shape):
        raise UserError(f"{path}: {problem}; {hint}")
    return value


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, atomically."""
    with atomic_path(path) as partial:
        partial.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def by_id(rows: Iterable[Row]) -> dict[str, Row]:
    """Return a mapping from ids to rows."""
    return {row["id"]: row for row in rows}
