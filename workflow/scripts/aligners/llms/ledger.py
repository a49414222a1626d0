"""The ledger of a stage: stores every completion on disk when it arrives.

Each job of the stage appends JSON lines with checksums to a file of its own. A job also reads the
files of the other jobs. So if the number of shards changes, rows that move to another job are not
requested again.
"""

import errno
import json
import logging
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from aligners.core.errors import UserError
from aligners.core.locks import acquire_lock

logger = logging.getLogger(__name__)

Entry = dict[str, Any]

HEADER = b'{"ledger": "aligners completions", "version": 1}\n'
SYNC_SECONDS = 1.0
KEY_DIGITS = 16
KEY_START = len('{"key": "')
# One integer holds a file's number and an offset in it, which takes less memory than a tuple.
OFFSET_BITS = 44


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn an error of the disk or the file system into one message about a ledger.

    Raises:
        UserError: the file cannot be read or written. A full disk has a message elsewhere.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise UserError(
            f"{path}: this ledger of completions cannot be read or written: {error.strerror}; "
            "check the file, its permissions and its disk, and run again. No completion is deleted"
        ) from error


def encode(entry: Entry) -> bytes:
    """Return an entry as a line that ends with the CRC-32 checksum of the rest of the line."""
    body = json.dumps(entry, ensure_ascii=False)[:-1].encode()
    return body + b', "checksum": "%08x"}\n' % zlib.crc32(body)


CHECKSUM_LENGTH = len(b', "checksum": "00000000"}\n')


def is_intact(line: bytes) -> bool:
    """Return whether the checksum of a line is correct."""
    body, end = line[:-CHECKSUM_LENGTH], line[-CHECKSUM_LENGTH:]
    return end == b', "checksum": "%08x"}\n' % zlib.crc32(body)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) of every intact entry; skip damaged lines with a warning.

    A last line without a line break is skipped without a warning: a kill cut it off, or another
    job is writing it now.

    Raises:
        UserError: another version of the workflow wrote the file.
    """
    with path.open("rb") as handle:
        offset = 0
        for line in handle:
            if offset == 0 and line != HEADER and line.endswith(b"\n"):
                raise UserError(
                    f"{path}: this ledger of completions is from another version of the workflow; "
                    "finish the run with that version, or rename the file to request the "
                    "completions again"
                )
            if offset > 0 and is_intact(line):
                yield offset, line
            elif offset > 0 and line.endswith(b"\n"):
                logger.warning(
                    "%s, byte %d: a damaged line is skipped, and its completion is requested again",
                    path,
                    offset,
                )
            offset += len(line)


class Ledger:
    """Finds the completions of a stage by key. New ones are written to the file of this job."""

    def __init__(self, path: Path):
        """Index all files in the directory of `path`, the file of this job, which may not exist.

        Raises:
            UserError: another version of the workflow wrote one of the files, or one cannot be
                read.
        """
        self.path = path
        others = sorted(file for file in path.parent.glob("*.jsonl") if file != path)
        self.files = [path, *others]
        self.readers: dict[int, IO[bytes]] = {}
        self.locations: dict[int, int] = {}
        for number in range(len(self.files)):
            self.index(number)

    def index(self, number: int) -> None:
        """Find the entries of a file by key."""
        file = self.files[number]
        with disk_errors(file):
            for offset, line in read_lines(file) if file.exists() else ():
                key = int(line[KEY_START : KEY_START + KEY_DIGITS], 16)
                self.locations[key] = number << OFFSET_BITS | offset

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Allow only this job to write its file; wait for another job that is writing it.

        Two jobs write one file if Snakemake was killed and its jobs live on. The entries that the
        other job has written are found afterwards.

        Raises:
            UserError: the file cannot be locked, read or written.
        """
        with disk_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            lock = acquire_lock(self.path.with_suffix(".lock"))
        with lock:
            with disk_errors(self.path):
                self.repair()
            self.index(0)
            yield

    def repair(self) -> None:
        """Remove the last line of this job's file if it has no line break."""
        if not self.path.exists():
            return
        with self.path.open("rb+") as handle:
            position, tail = handle.seek(0, os.SEEK_END), b""
            while position > 0 and b"\n" not in tail:
                step = min(position, 1 << 16)
                position = handle.seek(position - step)
                tail = handle.read(step)
            handle.truncate(position + tail.rfind(b"\n") + 1)

    def __contains__(self, key: int) -> bool:
        return key in self.locations

    def read(self, key: int) -> Entry:
        """Return the entry of a key, which must be in the ledger.

        Raises:
            UserError: the file cannot be read, or has changed since its entries were found.
        """
        number, offset = divmod(self.locations[key], 1 << OFFSET_BITS)
        with disk_errors(self.files[number]):
            if number not in self.readers:
                self.readers[number] = self.files[number].open("rb")
            reader = self.readers[number]
            reader.seek(offset)
            line = reader.readline()
        # Never another row's completion: the file may have been changed from outside.
        if not is_intact(line) or int(line[KEY_START : KEY_START + KEY_DIGITS], 16) != key:
            raise UserError(
                f"{self.files[number]}, byte {offset}: another entry than the one that was written "
                "here, so something else has changed this ledger; run again, which reads it anew"
            )
        entry: Entry = json.loads(line)
        return entry

    def close(self) -> None:
        """Close the files that `read` opened."""
        for reader in self.readers.values():
            reader.close()
        self.readers.clear()


class LedgerWriter:
    """Appends entries to the file of this job, flushes each, and syncs to disk once a second."""

    def __init__(self, ledger: Ledger):
        """Open the file of this job. The first line of a new file names the format's version.

        Raises:
            UserError: the file cannot be written. This also applies to the other methods.
        """
        self.ledger = ledger
        with disk_errors(ledger.path):
            ledger.path.parent.mkdir(parents=True, exist_ok=True)
            self.file = ledger.path.open("ab")
            self.last_sync = time.monotonic()
            if self.file.tell() == 0:
                self.file.write(HEADER)

    def append(self, key: int, entry: Entry) -> None:
        """Write an entry under its 64-bit key."""
        offset = self.file.tell()
        with disk_errors(self.ledger.path):
            self.file.write(encode({"key": f"{key:0{KEY_DIGITS}x}", **entry}))
            self.file.flush()
            if time.monotonic() - self.last_sync > SYNC_SECONDS:
                os.fsync(self.file.fileno())
                self.last_sync = time.monotonic()
        self.ledger.locations[key] = offset

    def close(self) -> None:
        """Sync the file to disk and close it."""
        with disk_errors(self.ledger.path):
            try:
                self.file.flush()
                os.fsync(self.file.fileno())
            finally:
                self.file.close()
