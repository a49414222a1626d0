"""The ledger of a stage: every completion, on disk as soon as it exists.

Each job of the stage has one file, to which it appends JSON lines with checksums. A job also reads
the files of the other jobs: if the number of shards changes, rows that move to another job are not
asked again.
"""

import json
import logging
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from aligners.core.errors import UserError

logger = logging.getLogger(__name__)

Entry = dict[str, Any]

HEADER = b'{"ledger": "aligners completions", "version": 1}\n'
SYNC_SECONDS = 1.0
KEY_DIGITS = 16
KEY_START = len('{"key": "')
# The number of a file and an offset in it share one integer, which takes less memory than a tuple.
OFFSET_BITS = 44


def encode(entry: Entry) -> bytes:
    """Return an entry as a line that ends with a checksum: the CRC-32 of the rest of the line."""
    body = json.dumps(entry, ensure_ascii=False)[:-1].encode()
    return body + b', "checksum": "%08x"}\n' % zlib.crc32(body)


CHECKSUM_LENGTH = len(b', "checksum": "00000000"}\n')


def is_whole(line: bytes) -> bool:
    """Tell whether the checksum of a line is right."""
    body, end = line[:-CHECKSUM_LENGTH], line[-CHECKSUM_LENGTH:]
    return end == b', "checksum": "%08x"}\n' % zlib.crc32(body)


def read_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield (offset, line) of every whole entry; log and skip damaged lines.

    A last line without a line break is skipped silently: a kill cut it, or another job writes it
    at this moment.

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
    """Finds the completions of a stage by key; new ones go to the file of this job."""

    def __init__(self, path: Path):
        """Index the files of the stage: all in the directory of `path`, which may be missing.

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
        """Remove the last line of the job's own file if it has no line break."""
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
        """Return the entry of a key, which must be in the ledger."""
        number, offset = divmod(self.places[key], 1 << OFFSET_BITS)
        if number not in self.readers:
            self.readers[number] = self.files[number].open("rb")
        reader = self.readers[number]
        reader.seek(offset)
        entry: Entry = json.loads(reader.readline())
        return entry

    def close(self) -> None:
        """Close the files that `read` opened."""
        for reader in self.readers.values():
            reader.close()
        self.readers.clear()


class LedgerWriter:
    """Appends entries to the file of a job: flushes each, and syncs to disk once a second."""

    def __init__(self, ledger: Ledger):
        """Open the file of the job; a new file starts with a line with the format's version."""
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

    def close(self) -> None:
        """Sync what was written to disk, and close the file."""
        try:
            self.file.flush()
            os.fsync(self.file.fileno())
        finally:
            self.file.close()
