"""The processes of a training: their state, their common decisions, and their memory."""

import ctypes
import signal
import sys
from typing import Any

import torch
from accelerate import PartialState

from aligners.cluster.gpu_leases import keep_leases

# An option of prctl(2): the signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1
# Parameters of mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def process_state() -> PartialState:
    """Return the state of this process: its index, and the number of processes of the job."""
    return PartialState(cpu=not torch.cuda.is_available())


def follow_launcher() -> None:
    """Let this process receive SIGTERM when its launcher dies, and keep the GPUs until it ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    keep_leases()


def decided_by_first_process(*values: bool) -> list[bool]:
    """Return the values of the first process, since clocks differ and all must decide the same."""
    shared = list(values)
    if torch.distributed.is_initialized():
        torch.distributed.broadcast_object_list(shared, src=0)
    return shared


def any_process(value: bool) -> bool:
    """Return whether a value is true in any process."""
    if not torch.distributed.is_initialized():
        return value
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, value)
    return any(gathered)


def keep_freed_memory() -> None:
    """Let the C library keep the memory of freed tensors.

    By default it returns large blocks to the system and requests them again at every step. This
    takes a tenth of the training time on a CPU. Only glibc has these settings.
    """
    library: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(M_TOP_PAD, 2**28)
