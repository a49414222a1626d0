"""GPU leases on a machine without a scheduler: each GPU belongs to one job at a time."""

import fcntl
import os
import re
import tempfile
import time
from pathlib import Path

from aligners.core.errors import UserError

# One directory for the machine, so that runs of several users share the leases.
DIRECTORY = Path(tempfile.gettempdir()) / "gpu-leases"
SECONDS_BETWEEN_LOOKS = 0.5


def gpus_of_this_machine() -> list[str]:
    """Return the names of the GPUs in CUDA_VISIBLE_DEVICES, or of all GPUs if it is not set."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    numbers = [re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*")]
    return [str(number) for number in sorted(int(found[1]) for found in numbers if found)]


def lease_gpus(count: int) -> list[str]:
    """Wait for free GPUs and lease them for this process; the leases survive an exec.

    A lease is a lock on a file. The kernel releases it when the last process that has the file
    open ends.

    Raises:
        UserError: the machine has fewer GPUs.
    """
    gpus = gpus_of_this_machine()
    if count > len(gpus):
        raise UserError(
            f"{count} GPUs are asked for, and this machine has {len(gpus)}; give the profile the "
            "number that there is (`resources: [gpu=N]`), or run without GPUs: "
            "snakemake --cores all, without a profile"
        )
    # Only one job at a time collects GPUs, and it keeps what it has: two jobs cannot deadlock.
    turn = open_lock("turn")
    fcntl.flock(turn, fcntl.LOCK_EX)
    leased: list[str] = []
    while True:
        for name in gpus:
            if len(leased) < count and name not in leased and try_to_lease(name):
                leased.append(name)
        if len(leased) == count:
            os.close(turn)
            return leased
        time.sleep(SECONDS_BETWEEN_LOOKS)


def try_to_lease(gpu: str) -> bool:
    """Lease a GPU if it is free; return whether it was."""
    lock = open_lock(gpu)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    os.set_inheritable(lock, True)  # Keep the lock through exec.
    return True


def open_lock(name: str) -> int:
    """Open a lock file and return its descriptor; create it for all users if it is missing."""
    if not DIRECTORY.exists():
        DIRECTORY.mkdir(exist_ok=True)
        DIRECTORY.chmod(0o1777)
    path = DIRECTORY / f"{name.replace('/', '+')}.lock"
    if not path.exists():
        path.touch()
        path.chmod(0o666)
    return os.open(path, os.O_RDONLY)
