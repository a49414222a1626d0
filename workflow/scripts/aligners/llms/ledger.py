"""The ledger of a stage: every completion, on disk as soon as it exists.

Append-only files of JSON lines, each with a checksum, one file for each job of the stage. A job
writes its own file and reads those of its neighbours: when the stage is cut into another number of
jobs, rows that move to another job are not asked for again.
"""

import json
import logging
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from aligners.core.errors import UserError

logger = logging.getLogger(__name__)

Entry = dict[str, Any]

HEADER = b'{"ledger": "aligners completions", "version": 1}\n'
SYNC_SECONDS = 1.0
KEY_DIGITS = 16
KEY_START = len('{"key": "')
# Where a file's number and an offset in it share one integer: a million of them fit in memory.
OFFSET_BITS = 44


def encode(entry: Entry) -> bytes:
    """Return an entry as a line that ends with the checksum (CRC-32) of what stands before it."""
    body = json.dumps(entry, ensure_ascii=False)[:-1].encode()
    return body + b', "checksum": "%08x"}\n' % zlib.crc32(body)


CHECKSUM_LENGTH = len(b', "checksum": "00000000"}\n')


def is_whole(line: bytes) -> bool:
    """Tell whether a line is as it was written."""
    body, end = line[:-CHECKSUM_LENGTH], line[-CHECKSUM_LENGTH:]
    return end == b', "checksum": "%08x"}\n' % zlib.crc32(body)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) of every whole entry; damaged lines are passed over and logged.

    A last line without its end is one that a kill cut in half, or that a neighbour writes now.

    Raises:
        UserError: another version of the program wrote the file.
    """
    with path.open("rb") as handle:
        offset = 0
        for line in handle:
            if offset == 0 and line != HEADER and line.endswith(b"\n"):
                raise UserError(
                    f"{path}: a ledger of completions that another version of the workflow wrote; "
                    "finish the run with that version, or move the file away to ask for its "
                    "completions again"
                )
            if offset > 0 and is_whole(line):
                yield offset, line
            elif offset > 0 and line.endswith(b"\n"):
                logger.warning("%s, byte %d: a damaged line is passed over", path, offset)
            offset += len(line)


class Ledger:
    """The completions of a stage, found by key; new ones go to the file of this job."""

    def __init__(self, path: Path):
        """Index the files of the stage, those in the directory of `path`, which may be missing.

        Raises:
            UserError: another version of the program wrote one of the files.
        """
        self.path = path
        self.repair()
        others = sorted(file for file in path.parent.glob("*.jsonl") if file != path)
        self.files = [path, *others]
        self.readers: dict[int, IO[bytes]] = {}
        self.places: dict[int, int] = {}
        for number, file in enumerate(self.files):
            for offset, line in read_lines(file) if file.exists() else ():
                key = int(line[KEY_START : KEY_START + KEY_DIGITS], 16)
                self.places[key] = number << OFFSET_BITS | offset

    def repair(self) -> None:
        """Cut off a last line of the job's own file that has no end."""
        if not self.path.exists():
            return
        with self.path.open("rb+") as handle:
            content_end = handle.seek(0, os.SEEK_END)
            position, tail = content_end, b""
            while position > 0 and b"\n" not in tail:
                step = min(position, 1 << 16)
                position = handle.seek(position - step)
                tail = handle.read(step)
            handle.truncate(position + tail.rfind(b"\n") + 1)

    def __contains__(self, key: int) -> bool:
        return key in self.places

    def read(self, key: int) -> Entry:
        """Return the entry of a key that the ledger has."""
        number, offset = divmod(self.places[key], 1 << OFFSET_BITS)
        if number not in self.readers:
            self.readers[number] = self.files[number].open("rb")
        reader = self.readers[number]
        reader.seek(offset)
        entry: Entry = json.loads(reader.readline())
        return entry

    def close(self) -> None:
        """Close the files that were read."""
        for reader in self.readers.values():
            reader.close()
        self.readers.clear()


class LedgerWriter:
    """Appends entries to a job's file: each is with the system at once, and on disk each second."""

    def __init__(self, ledger: Ledger):
        """Open the job's file; a new one begins with a line that tells the version."""
        self.ledger = ledger
        ledger.path.parent.mkdir(parents=True, exist_ok=True)
        self.file = ledger.path.open("ab")
        self.synced = time.monotonic()
        if self.file.tell() == 0:
            self.file.write(HEADER)

    def append(self, key: int, entry: Entry) -> None:
        """Write an entry under a key of 64 bits."""
        offset = self.file.tell()
        self.file.write(encode({"key": f"{key:0{KEY_DIGITS}x}", **entry}))
        self.file.flush()
        self.ledger.places[key] = offset
        if time.monotonic() - self.synced > SYNC_SECONDS:
            os.fsync(self.file.fileno())
            self.synced = time.monotonic()

    def __enter__(self) -> "LedgerWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
        finally:
            self.file.close()
