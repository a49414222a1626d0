"""GPUs of a machine without a scheduler: a job leases some, and no other has them until it ends."""

import fcntl
import os
import re
import tempfile
import time
from pathlib import Path

from aligners.core.errors import UserError

# One for the whole machine, so that the runs of several users get along.
DIRECTORY = Path(tempfile.gettempdir()) / "gpu-leases"
SECONDS_BETWEEN_LOOKS = 0.5


def gpus_of_this_machine() -> list[str]:
    """Return the names of the GPUs: those in CUDA_VISIBLE_DEVICES if it is set, else all."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    numbers = [re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*")]
    return [str(number) for number in sorted(int(found[1]) for found in numbers if found)]


def lease_gpus(count: int) -> list[str]:
    """Wait for free GPUs and lease them for this process and for what it becomes by exec.

    A lease is a lock on a file. The system lifts it when the last process that has the file open
    ends, in whatever way.

    Raises:
        UserError: the machine has fewer.
    """
    gpus = gpus_of_this_machine()
    if count > len(gpus):
        raise UserError(
            f"{count} GPUs are asked for, and this machine has {len(gpus)}; give the profile the "
            "number that there is (`resources: [gpu=N]`), or run without GPUs: "
            "snakemake --cores all, without a profile"
        )
    # One job at a time chooses, and keeps what it has until it has enough: none waits for ever.
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
    """Lease a GPU if it is free, and tell whether it was."""
    lock = open_lock(gpu)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    os.set_inheritable(lock, True)  # It stays open in what the process becomes.
    return True


def open_lock(name: str) -> int:
    """Open the file of a lock, made for all users if it is not there, and return its descriptor."""
    if not DIRECTORY.exists():
        DIRECTORY.mkdir(exist_ok=True)
        DIRECTORY.chmod(0o1777)
    path = DIRECTORY / f"{name.replace('/', '+')}.lock"
    if not path.exists():
        path.touch()
        path.chmod(0o666)
    return os.open(path, os.O_RDONLY)
