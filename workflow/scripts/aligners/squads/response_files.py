"""Corrects the responses in a table, row by row, so that a killed run continues where it was."""

import csv
import fcntl
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from socket import gethostname
from tempfile import NamedTemporaryFile
from typing import IO, Any

from tqdm import tqdm

from aligners.configuration.kinds.inference import Inference
from aligners.core.errors import UserError
from aligners.core.full_disk import is_full_disk
from aligners.core.hashes import file_hash
from aligners.core.rows import Row, atomic_path, iterate_rows, read_json, write_json
from aligners.core.tables import FIRST_RECORDS, Record, column_names, read_records, value_at
from aligners.correction.aligner import IN_PROCESS
from aligners.imports.formats import Format, fitting, format_of_columns, read_record
from aligners.squads.correction import Correction
from aligners.squads.squad import Squad

# Rows that are corrected and written together.
ROWS = 128
# What is added to each record.
FIELDS = ("aligned_response", "action", "reason", "scores", "trace")
ENDINGS = (".jsonl", ".csv")


@dataclass(frozen=True)
class Table:
    """A table of responses.

    Attributes:
        path: of the file.
        question, response: its columns, or paths into them such as `messages.-1.content`; both are
            None if the columns are those of a known format.
    """

    path: Path
    question: str | None = None
    response: str | None = None


@dataclass
class Summary:
    """How many rows were corrected, left unchanged or skipped, and for which reason."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, row: Row) -> None:
        """Count a row that was written."""
        self.counts[row["action"], row["reason"]] += 1

    def of_action(self, action: str) -> int:
        """Return the number of rows with an action."""
        return sum(count for (name, _), count in self.counts.items() if name == action)


def correct_table(
    squad: Squad, directory: Path, table: Table, output: Path, inference: Inference = IN_PROCESS
) -> Summary:
    """Write the rows of a table with their corrections, in order, and return how many there are.

    Until all rows are done they are in the file `output`.partial. If the run is killed, the same
    call continues after its last complete row. A row that has no texts is skipped with its reason.

    Args:
        squad: corrects the responses.
        directory: of the squad.
        table: with the responses.
        output: file to write, .jsonl or .csv; in a .csv, scores and trace are JSON.
        inference: with which the squad was loaded.

    Raises:
        UserError: the columns are unknown, the output exists or cannot be written, another process
            writes it, an unfinished one is of another table or another squad, or the server of an
            aligner cannot be used at all.
    """
    found = check_table(table, output)
    partial = partial_of(output)
    with locked(partial) as file:
        check_output(output)  # another process may just have finished it
        start_or_continue(partial, identity(directory, table, inference))
        summary = Summary()
        for row in iterate_rows(partial):
            summary.add(row)
        done = sum(summary.counts.values())
        records = islice(read_records(table.path), done, None)
        with tqdm(unit=" rows", desc="correcting", initial=done, disable=None) as bar:
            while batch := list(islice(records, ROWS)):
                for row in correct_records(squad, batch, found, table):
                    file.write(as_line(row))
                    summary.add(row)
                file.flush()
                os.fsync(file.fileno())
                bar.update(len(batch))
        finish(partial, output)
    return summary


def check_table(table: Table, output: Path) -> Format:
    """Return what reads the records of a table, and check that the output can be written.

    This takes no time, so programs do it before they load a squad.

    Raises:
        UserError: as for `correct_table`.
    """
    check_output(output)
    return find_format(table)


def check_output(output: Path) -> None:
    """Check that the output can be written.

    Raises:
        UserError: it exists, has another ending, or files of this name cannot be created there.
    """
    if output.suffix not in ENDINGS:
        raise UserError(f"{output}: give a file that ends in {' or '.join(ENDINGS)}")
    with writing(output):
        if output.exists():
            raise UserError(f"{output}: the file exists; remove it, or give another name")
        if not output.parent.is_dir():
            raise UserError(f"{output.parent}: no such directory; create it, or correct the path")
        # The longest of the names beside the output is that of the record while it is written.
        longest = f".{record_of(partial_of(output)).name}.{gethostname()}."
        with NamedTemporaryFile(prefix=longest, suffix=".partial", dir=output.parent):
            pass


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Convert the error of a file that cannot be created or opened to a UserError."""
    try:
        yield
    except OSError as error:
        if is_full_disk(error):
            raise
        raise UserError(
            f"{path}: cannot be written ({error.strerror}); give another output"
        ) from None
    except ValueError as error:  # such as a zero byte in the name
        raise UserError(
            f"{str(path)!r}: no name of a file ({error}); give another output"
        ) from None


def partial_of(output: Path) -> Path:
    """Return the file of the rows that are done until all are."""
    return output.with_name(f"{output.name}.partial")


def record_of(partial: Path) -> Path:
    """Return the file that has what the unfinished rows are of (`identity`)."""
    return partial.with_name(f"{partial.name}.json")


@contextmanager
def locked(partial: Path) -> Iterator[IO[str]]:
    """Open the file of unfinished rows to add some, alone: rows of two processes would be mixed.

    Raises:
        UserError: it cannot be written, or another process writes it.
    """
    with writing(partial):
        file = partial.open("a", encoding="utf-8")
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"{partial}: another process writes this file; wait until it ends, or give another "
                "output"
            ) from None
        yield file


def find_format(table: Table) -> Format:
    """Return what reads question and response of a record.

    Raises:
        UserError: the columns are not those of one known format, and none or only one is given, or
            the table has no such column.
    """
    first = [row for _, row in islice(read_records(table.path), FIRST_RECORDS)]
    names = column_names(first)
    if taken := [name for name in FIELDS if name in names]:
        raise UserError(
            f"{table.path}: the column {taken[0]!r} would be replaced; rename or remove it"
        )
    shown = ", ".join(names) or "none"
    if table.question is None and table.response is None:
        formats = fitting(first, "responses")
        if len(formats) == 1:
            return formats[0]
        if not first:
            raise UserError(
                f"{table.path}: no rows, so its columns cannot be recognised; give a table with "
                "rows, or name the columns with --question and --response"
            )
        raise UserError(
            f"{table.path}: the columns with questions and responses are not known; name them with "
            f"--question and --response. Its columns: {shown}"
        )
    if table.question is None or table.response is None:
        raise UserError(f"{table.path}: give both --question and --response. Its columns: {shown}")
    for column in (table.question, table.response):
        if first and all(value_at(row, column) is None for row in first):
            raise UserError(f"{table.path}: no column {column!r}. Its columns: {shown}")
    return format_of_columns("responses", {"question": table.question, "response": table.response})


def identity(directory: Path, table: Table, inference: Inference) -> dict[str, Any]:
    """Return what must be equal for a run to continue: squad, engine, table and columns."""
    return {
        "squad": file_hash(directory / "squad.json"),
        # Another engine writes other texts.
        "engine": [inference.engine, inference.prompts, inference.model],
        "table": file_hash(table.path),
        "columns": [table.question, table.response],
    }


def start_or_continue(partial: Path, wanted: dict[str, Any]) -> None:
    """Create the file of unfinished rows, or remove an incomplete last line of it.

    Raises:
        UserError: it has rows of another table, squad or columns.
    """
    record = record_of(partial)
    if partial.stat().st_size == 0:
        write_json(record, wanted)
        return
    if not record.is_file() or read_json(record) != wanted:
        raise UserError(
            f"{partial}: unfinished rows of another table, squad or other columns; finish that run "
            "with the same command, or remove this file"
        )
    content = partial.read_bytes()
    complete = content.rfind(b"\n") + 1
    if complete < len(content):
        os.truncate(partial, complete)


def correct_records(
    squad: Squad, batch: Sequence[Record], found: Format, table: Table
) -> Iterator[Row]:
    """Yield the records of a batch with their corrections."""
    read = [read_record(record, found, "responses", "last") for _, record in batch]
    # A row that can be read has texts, also where they are no training data: empty or long ones.
    usable = [row for row, _ in read if row]
    corrections = iter(
        squad.correct_all([row["question"] for row in usable], [row["response"] for row in usable])
    )
    for (_, record), (row, reason) in zip(batch, read, strict=True):
        correction = next(corrections) if row else Correction("", "skipped", str(reason), {}, [])
        added = correction.as_json()
        text = added.pop("text")
        if correction.action != "corrected":
            text = as_written(record, text, [table.response] if table.response else found.columns)
        yield {**record, "aligned_response": text, **added}


def as_written(record: Row, text: str, columns: Sequence[str]) -> str:
    """Return a response with the blanks around it, which the reader of the record removes.

    Args:
        record: that has the response.
        text: the response without blanks.
        columns: one of them has the response, or a chat that ends with it.
    """
    for column in columns:
        value = value_at(record, column)
        if isinstance(value, list):
            value = value_at(record, f"{column}.-1.content")
        if isinstance(value, str) and value.strip() == text.strip():
            return value
    return text


def as_line(row: Row) -> str:
    """Return a row as a line of JSON. Values that JSON does not have become null or text."""
    try:
        text = json.dumps(row, ensure_ascii=False, default=str, allow_nan=False)
    except ValueError:  # NaN, which stands in Parquet for a number that is missing
        text = json.dumps(without_nan(row), ensure_ascii=False, default=str)
    return text + "\n"


def without_nan(value: Any) -> Any:
    """Return a value with None for each number in it that is not finite."""
    if isinstance(value, dict):
        return {name: without_nan(one) for name, one in value.items()}
    if isinstance(value, list):
        return [without_nan(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def finish(partial: Path, output: Path) -> None:
    """Make the output of the rows, which are all done."""
    if output.suffix == ".csv":
        write_csv(output, partial)
        partial.unlink()
    else:
        os.replace(partial, output)
    record_of(partial).unlink()


def write_csv(output: Path, rows: Path) -> None:
    """Write a file of rows as CSV; lists and objects become JSON."""
    names = column_names(iterate_rows(rows))
    with atomic_path(output) as path, path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        for row in iterate_rows(rows):
            writer.writerow({name: cell(value) for name, value in row.items()})


def cell(value: Any) -> Any:
    """Return a value as a cell of a table."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value
