"""GPU leases on a machine without a scheduler, so that only one job at a time uses a GPU."""

import fcntl
import os
import re
import time
from pathlib import Path

from aligners.core.errors import UserError

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False

# One directory per machine, so that runs of several users share the leases. tempfile.gettempdir()
# would be another directory while this disk is full.
LEASE_DIRECTORY = Path(os.environ.get("TMPDIR", "/tmp")) / "gpu-leases"
SECONDS_BETWEEN_CHECKS = 0.5
# The environment variable with the GPUs that a job has leased.
LEASED = "ALIGNERS_LEASED_GPUS"


def gpus_of_this_machine() -> list[str]:
    """Return the names of the GPUs in CUDA_VISIBLE_DEVICES, or the numbers of all GPUs."""
    if "CUDA_VISIBLE_DEVICES" in os.environ:
        return [name for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name]
    numbers = [re.fullmatch(r"nvidia(\d+)", path.name) for path in Path("/dev").glob("nvidia*")]
    return [str(number) for number in sorted(int(found[1]) for found in numbers if found)]


def lease_gpus(count: int) -> list[str]:
    """Wait for free GPUs and lease them for this process and those that inherit its open files.

    A lease is a shared lock on a file. The kernel releases it when no process has the file open any
    more. So it survives an exec, and lasts until the last process that inherited or kept it ends.

    Raises:
        UserError: the machine has fewer GPUs.
    """
    gpus = gpus_of_this_machine()
    if count > len(gpus):
        raise UserError(
            f"the job requests {count} GPUs, but this machine has {len(gpus)}; set the number of "
            "GPUs in the profile (`resources: [gpu=N]`), or run without GPUs and without a "
            "profile: snakemake --cores all"
        )
    # Only one job at a time collects GPUs, so two jobs cannot wait for each other's GPUs.
    queue = open_lock("turn")
    fcntl.flock(queue, fcntl.LOCK_EX)
    leased: list[str] = []
    while True:
        for name in gpus:
            if len(leased) < count and name not in leased and try_to_lease(name):
                leased.append(name)
        if len(leased) == count:
            os.close(queue)
            os.environ[LEASED] = ",".join(leased)
            return leased
        time.sleep(SECONDS_BETWEEN_CHECKS)


def try_to_lease(gpu: str) -> bool:
    """Lease a GPU if it is free, and return whether it was."""
    lock = open_lock(gpu)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    # No job can lock the file in between, since only one job at a time collects GPUs.
    fcntl.flock(lock, fcntl.LOCK_SH)
    os.set_inheritable(lock, True)
    return True


def keep_leases() -> None:
    """Keep the job's leases until this process ends.

    The processes of `accelerate launch` do not inherit open files, and they write a checkpoint when
    their launcher is killed.
    """
    for gpu in filter(None, os.environ.get(LEASED, "").split(",")):
        fcntl.flock(open_lock(gpu), fcntl.LOCK_SH)


def open_lock(name: str) -> int:
    """Open a lock file and return its descriptor; create it for all users if it is missing."""
    if not LEASE_DIRECTORY.exists():
        LEASE_DIRECTORY.mkdir(exist_ok=True)
        LEASE_DIRECTORY.chmod(0o1777)
    path = LEASE_DIRECTORY / f"{name.replace('/', '+')}.lock"
    if not path.exists():
        path.touch()
        path.chmod(0o666)
    return os.open(path, os.O_RDONLY)
