"""Launch the processes of a training over several nodes that belong to this node.

`srun` starts it once on each node, and its environment tells which node this is and where the
first one is; the arguments are those of `accelerate launch`.
"""

import os
import sys

# Every node must know the port beforehand; two jobs on one node are to have different ones.
FIRST_PORT, PORTS = 20_000, 10_000


def main() -> None:
    """Become `accelerate launch` with this node's rank."""
    port = FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS
    rendezvous = [
        f"--machine_rank={os.environ['SLURM_NODEID']}",
        # srun runs on the first node of a job.
        f"--main_process_ip={os.environ['SLURM_LAUNCH_NODE_IPADDR']}",
        f"--main_process_port={port}",
    ]
    os.execvp("accelerate", ["accelerate", "launch", *rendezvous, *sys.argv[1:]])


if __name__ == "__main__":
    main()
