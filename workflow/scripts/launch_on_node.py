"""Launch this node's processes of a training that runs on several nodes.

`srun` starts this program once on each node. Slurm's environment variables contain the number of
this node and the address of the first node. The arguments are those of `accelerate launch`.
"""

import os
import socket
import sys

# All nodes must compute the same port, and two trainings on one node should get different ports: of
# two jobs, or of two steps of one job. These ports are not among those that the kernel gives to
# clients.
FIRST_PORT, PORTS = 20_000, 10_000
# Jobs with similar numbers run at the same time, so their steps must not be neighbours.
PORTS_BETWEEN_STEPS = 1009


def main() -> None:
    """Replace this process with `accelerate launch`, given this node's rank."""
    job, step = int(os.environ["SLURM_JOB_ID"]), int(os.environ["SLURM_STEP_ID"])
    port = FIRST_PORT + (job + PORTS_BETWEEN_STEPS * step) % PORTS
    if os.environ["SLURM_NODEID"] == "0":
        check_port(port)
    rendezvous = [
        f"--machine_rank={os.environ['SLURM_NODEID']}",
        # srun itself runs on the first node of a job.
        f"--main_process_ip={os.environ['SLURM_LAUNCH_NODE_IPADDR']}",
        f"--main_process_port={port}",
    ]
    os.execvp("accelerate", ["accelerate", "launch", *rendezvous, *sys.argv[1:]])


def check_port(port: int) -> None:
    """Exit with a message if another program on this node listens at a port."""
    try:
        socket.create_server(("", port)).close()
    except OSError as error:
        sys.exit(
            f"error: port {port} of {socket.gethostname()}, where the nodes of this training meet: "
            f"{error.strerror}; run again, since the port depends on the number of the Slurm job"
        )


if __name__ == "__main__":
    main()
