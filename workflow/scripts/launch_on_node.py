"""Launch this node's processes of a training that runs on several nodes.

`srun` starts this program once on each node. Slurm's environment variables contain the number of
this node and the address of the first node. The arguments are those of `accelerate launch`.
"""

import os
import sys

# All nodes must compute the same port, and two jobs on one node should get different ports.
FIRST_PORT, PORTS = 20_000, 10_000


def main() -> None:
    """Replace this process with `accelerate launch`, given this node's rank."""
    port = FIRST_PORT + int(os.environ["SLURM_JOB_ID"]) % PORTS
    rendezvous = [
        f"--machine_rank={os.environ['SLURM_NODEID']}",
        # srun itself runs on the first node of a job.
        f"--main_process_ip={os.environ['SLURM_LAUNCH_NODE_IPADDR']}",
        f"--main_process_port={port}",
    ]
    os.execvp("accelerate", ["accelerate", "launch", *rendezvous, *sys.argv[1:]])


if __name__ == "__main__":
    main()
