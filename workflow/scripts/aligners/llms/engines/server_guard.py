"""Run a server until the process that started this program ends.

This is a separate program because a killed job cannot stop its server. Its arguments are the
server's command. Its standard input is a pipe from the job, which never writes to it. When the job
ends for any reason, the pipe closes, and this program stops the server and its child processes.
"""

import ctypes
import select
import signal
import subprocess
import sys

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# The guard ignores these. They reach the job's whole process group or session, and the guard must
# run longer than the job.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS = 0.2
# Seconds between SIGTERM and SIGKILL.
GRACE_SECONDS = 10.0
# Above this, an exit status names the signal that ended a process.
SIGNALLED = 128


def stop_all() -> None:
    """Stop all child processes, including children outside the server's process group."""
    started = psutil.Process().children(recursive=True)
    for process in started:
        process.terminate()
    _, alive = psutil.wait_procs(started, GRACE_SECONDS)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, GRACE_SECONDS)


def main() -> int:
    """Run the server and return its exit status, or 0 if the job ended first.

    The status of a server that a signal ended is 128 more than the signal's number, as in a shell.
    """
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # If the parent of a process ends, the process becomes a child of the guard: stop_all finds it.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    server = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        preexec_fn=prepare_server_process,
        close_fds=False,  # The leases of GPUs
    )
    while server.poll() is None:
        job_ended, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
        if job_ended:
            stop_all()
            return 0
    stop_all()
    status = server.returncode
    return SIGNALLED - status if status < 0 else status


def prepare_server_process() -> None:
    """Restore the default signal handlers, and request SIGKILL for when the guard ends."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
