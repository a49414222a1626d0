"""Reads records from tables: CSV, TSV, JSON, JSON Lines and Parquet, also compressed.

Records come one by one, so a file of a million rows needs no more memory than one of a thousand;
only .json files and compressed Parquet files are read whole.
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import re
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from aligners.core.errors import UserError
from aligners.core.rows import BOM, DECODER, Row, open_to_read, parse_row

# A record and its place in the file, for messages: "line 3", "row 2".
Record = tuple[str, Row]

COMPRESSED = (".gz", ".xz", ".zst", ".bz2")
TABLES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet")
# Candidates for the character between the cells of a .csv file.
SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
ROWS_PER_BATCH = 1024
# Records that show which columns a table has.
FIRST_RECORDS = 1000
INDEX = re.compile(r"-?\d{1,9}")


def table_suffix(path: Path) -> str:
    """Return the ending of a table without that of a compression, in lower case.

    Raises:
        UserError: the ending is not that of a table.
    """
    name = path.name.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    suffix = Path(name).suffix
    if suffix not in TABLES:
        raise UserError(
            f"{path}: unknown ending {path.suffix!r}; give a file that ends in "
            f"{', '.join(TABLES)}, also with {', '.join(COMPRESSED)} after it"
        )
    return suffix


def read_records(path: Path) -> Iterator[Record]:
    """Yield the records of a table in order, each after its place.

    Cells of CSV and TSV files are text; an empty line of them is a record of empty cells.

    Raises:
        UserError: the file is missing, is damaged, or is not what its ending says.
    """
    read = {
        ".csv": read_csv,
        ".tsv": read_tsv,
        ".json": read_json_list,
        ".jsonl": read_json_lines,
        ".ndjson": read_json_lines,
        ".parquet": read_parquet,
    }[table_suffix(path)]
    with decompressed(path) as handle, damage(path):
        yield from read(path, handle)


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn an error of a decompressor or of Parquet into one message."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, OSError) as error:
        raise UserError(
            f"{path}: the file is damaged or cut off ({one_line(error)}); copy or download it again"
        ) from None


def one_line(error: Exception) -> str:
    """Return the message of an error in one line, at most 200 characters."""
    return " ".join(str(error).split())[:200].rstrip(".")


@contextmanager
def decompressed(path: Path) -> Iterator[BinaryIO]:
    """Open a file to read its bytes, decompressed by its ending.

    Raises:
        UserError: the file is missing or cannot be read.
    """
    with open_to_read(path) as raw, damage(path):
        openers: dict[str, Callable[[BinaryIO], Any]] = {
            ".gz": lambda handle: gzip.GzipFile(fileobj=handle),
            ".bz2": bz2.BZ2File,
            ".xz": lzma.LZMAFile,
            ".zst": open_zstandard,
        }
        opener = openers.get(path.suffix.lower())
        if opener is None:
            yield raw
        else:
            with opener(raw) as handle:
                yield handle


def open_zstandard(handle: BinaryIO) -> io.BufferedReader:
    """Open a file that is compressed with Zstandard, for which Python 3.11 has no module."""
    import pyarrow

    return io.BufferedReader(cast(io.RawIOBase, pyarrow.CompressedInputStream(handle, "zstd")))


def read_json_lines(path: Path, handle: BinaryIO) -> Iterator[Record]:
    """Yield the objects of a JSON Lines file."""
    for number, line in enumerate(handle, start=1):
        try:
            row = parse_row(line.removeprefix(BOM) if number == 1 else line)
        except ValueError as error:
            raise UserError(f"{path}, line {number}: {error}; correct or remove the line") from None
        if row is not None:
            yield f"line {number}", row


def read_json_list(path: Path, handle: BinaryIO) -> Iterator[Record]:
    """Yield the objects of a JSON file: of a list, or of the one list of objects under a key."""
    text = decode(path, handle.read())
    try:
        value = DECODER.decode(text)
        json.dumps(value, ensure_ascii=False).encode()  # an escape may be half of a surrogate pair
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}, line {error.lineno}: not JSON; correct it, or name the file .jsonl if each "
            "line is an object"
        ) from None
    except UnicodeEncodeError:
        raise UserError(
            f"{path}: not JSON in UTF-8: half of a surrogate pair; export it again"
        ) from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: {one_line(error)}; correct it, or export it again") from None
    lists = [value] if is_list_of_objects(value) else []
    if isinstance(value, dict):
        lists = [one for one in value.values() if is_list_of_objects(one)]
    if len(lists) != 1:
        found = f"{len(lists)} lists" if lists else "no list"
        raise UserError(
            f"{path}: {found} of objects in it; give a file with one list of objects, at the top "
            "or under one key, or a .jsonl file with one object per line"
        )
    yield from ((f"row {number}", row) for number, row in enumerate(lists[0], start=1))


def is_list_of_objects(value: Any) -> bool:
    """Return whether a value is a list with objects only."""
    return isinstance(value, list) and all(isinstance(one, dict) for one in value) and bool(value)


def decode(path: Path, content: bytes) -> str:
    """Return the text of a file in UTF-8, without a byte order mark.

    Raises:
        UserError: it is not UTF-8.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UserError(f"{path}, line {line}: not UTF-8; save the file in UTF-8") from None


def read_tsv(path: Path, handle: BinaryIO) -> Iterator[Record]:
    """Yield the rows of a file with tabs between its cells."""
    return read_cells(path, handle, "\t")


def read_csv(path: Path, handle: BinaryIO) -> Iterator[Record]:
    """Yield the rows of a file whose header tells the character between its cells."""
    return read_cells(path, handle, None)


def read_cells(path: Path, handle: BinaryIO, separator: str | None) -> Iterator[Record]:
    """Yield the rows of a file of cells.

    A quote can begin after blanks. Blanks around the header's names are no part of them. Of equal
    names, the second is `name.2`. A row that lacks cells at its end has empty ones.

    Raises:
        UserError: the file is not UTF-8, has no header, or a row has more cells than the header.
    """
    csv.field_size_limit(sys.maxsize)
    lines = text_lines(path, handle)
    try:
        first = next(lines, "")
        chosen = separator or find_separator(first)
        reader = csv.reader(
            chain([first], lines), delimiter=chosen, skipinitialspace=True, strict=True
        )
        names = header_names(path, next(reader, []))
        for cells in reader:
            if len(cells) > len(names) and any(cells[len(names) :]):
                raise UserError(
                    f"{path}, line {reader.line_num}: {len(cells)} cells, and the header has "
                    f"{len(names)}; put quotes around each cell with a {SEPARATORS[chosen]}"
                )
            padded = [*cells, *[""] * (len(names) - len(cells))]
            yield f"line {reader.line_num}", dict(zip(names, padded, strict=False))
    except csv.Error as error:
        raise UserError(
            f"{path}, line {reader.line_num}: not a table of cells: {error}; put quotes around "
            "each cell with a line break or a quote, and double the quotes in it"
        ) from None


def text_lines(path: Path, handle: BinaryIO) -> Iterator[str]:
    """Yield the lines of a file in UTF-8 with their ends, without a byte order mark.

    Raises:
        UserError: a line is not UTF-8.
    """
    text = io.TextIOWrapper(
        cast(IO[bytes], handle), encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    for number, line in enumerate(text, start=1):
        try:
            line.encode()  # bytes that are not UTF-8 were read as halves of surrogate pairs
        except UnicodeEncodeError:
            raise UserError(f"{path}, line {number}: not UTF-8; save the file in UTF-8") from None
        yield line


def find_separator(header: str) -> str:
    """Return the character that divides a header line into the most names."""
    return max(SEPARATORS, key=lambda mark: len(next(csv.reader([header], delimiter=mark), [])))


def header_names(path: Path, cells: list[str]) -> list[str]:
    """Return the names of columns; a number makes equal ones differ.

    Raises:
        UserError: there is none.
    """
    names = [cell.strip() for cell in cells]
    if not any(names):
        raise UserError(f"{path}: no header line; add one with the names of the columns")
    return distinct_names(names)


def distinct_names(names: Iterable[str]) -> list[str]:
    """Return names of which a number makes equal ones differ: a, a.2, a.3."""
    seen = Counter[str]()
    unique = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name}.{seen[name]}")
    return unique


def read_parquet(path: Path, handle: BinaryIO) -> Iterator[Record]:
    """Yield the rows of a Parquet file.

    Of equal names of columns, the second is `name.2`.

    Raises:
        UserError: the file is damaged, or has a value that Python cannot have, such as a text that
            is not UTF-8.
    """
    import pyarrow.parquet  # takes longer than the other imports together

    number = 0
    try:
        # Parquet is read from its end. A compressed file cannot be, or only slowly.
        is_compressed = path.suffix.lower() in COMPRESSED
        file = pyarrow.parquet.ParquetFile(io.BytesIO(handle.read()) if is_compressed else handle)
        names = distinct_names(file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=ROWS_PER_BATCH):
            for row in batch.rename_columns(names).to_pylist():
                number += 1
                yield f"row {number}", row
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError) as error:
        raise UserError(
            f"{path}, after row {number}: not a sound Parquet file ({one_line(error)}); export or "
            "download it again"
        ) from None


def column_names(records: Iterable[Row]) -> list[str]:
    """Return the names of the columns of records, in the order in which they occur."""
    return list(dict.fromkeys(name for record in records for name in record))


def value_at(record: Row, column: str) -> Any:
    """Return a record's value in a column, or None if it has none.

    A column can be a path into lists and objects: `messages.0.content`, `messages.-1.content`.
    """
    if column in record:
        return record[column]
    value: Any = record
    for part in column.split("."):
        if isinstance(value, list) and INDEX.fullmatch(part) and in_range(value, int(part)):
            value = value[int(part)]
        elif isinstance(value, dict):
            value = value.get(part)
        else:
            return None
    return value


def in_range(items: list[Any], index: int) -> bool:
    """Return whether a list has an item at an index, which may count from the end."""
    return -len(items) <= index < len(items)
