"""Run a command that ends when Snakemake ends: end_with_snakemake.py COMMAND.

Without it, the jobs of a Snakemake that was killed would go on: they would pay for completions and
hold GPUs, without anything that shows it.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Ask the kernel for SIGTERM when the parent ends, then replace this process by the command.

    The request survives the replacement. The parent is Snakemake, since the rules' shell commands
    begin with `exec`. SIGTERM lets a training write a checkpoint.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == "__main__":
    main()
