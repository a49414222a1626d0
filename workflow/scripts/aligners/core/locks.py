"""Locks between jobs. Two jobs write the same files if Snakemake was killed and one lives on."""

import fcntl
import logging
import os
from pathlib import Path
from typing import IO

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False

logger = logging.getLogger(__name__)


def acquire_lock(path: Path) -> IO[str]:
    """Lock a file, and write the number of this process to it; wait for another process.

    The lock ends when the returned file is closed, or with this process.

    Raises:
        OSError: the file cannot be written or locked.
    """
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        logger.warning(
            "%s: waiting for the process %s, which writes the same files. If it belongs to a run "
            "that was killed, end it: what it has written is kept",
            path,
            lock.read().strip(),
        )
        fcntl.flock(lock, fcntl.LOCK_EX)
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()
    return lock
