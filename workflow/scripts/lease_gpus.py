"""Run a command on GPUs of this machine that no other job uses: lease_gpus.py COUNT COMMAND."""

import os
import sys

from aligners.cluster.gpu_leases import lease_gpus
from aligners.core.errors import UserError


def main() -> None:
    """Wait for free GPUs, then replace this process with the command, which can use only these."""
    _, count, *command = sys.argv
    try:
        gpus = lease_gpus(int(count))
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"GPUs {', '.join(gpus)} of this machine", file=sys.stderr, flush=True)
    # Number the GPUs as /dev and nvidia-smi do, not by speed.
    os.environ.update(CUDA_VISIBLE_DEVICES=",".join(gpus), CUDA_DEVICE_ORDER="PCI_BUS_ID")
    os.execvp(command[0], command)


if __name__ == "__main__":
    main()
