"""Run a server for as long as the process that started this program lives, and no longer.

A program of its own, since a job that is killed can stop nothing itself. It runs the command on its
command line and reads its standard input, a pipe from the job that nothing is written to: when the
job ends, however it ends, the pipe closes, and all that the server started is stopped.
"""

import ctypes
import select
import signal
import subprocess
import sys

import psutil

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# Sent to the job's whole group or session; the guard outlives the job to clean up.
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
POLL_SECONDS = 0.2
# How long a server may take to end by itself before it is killed.
GRACE_SECONDS = 10.0


def stop_all() -> None:
    """End every process that was started here, also those that left the server's group."""
    started = psutil.Process().children(recursive=True)
    for process in started:
        process.terminate()
    _, alive = psutil.wait_procs(started, GRACE_SECONDS)
    for process in alive:
        process.kill()
    psutil.wait_procs(alive, GRACE_SECONDS)


def main() -> int:
    """Return the server's exit status, or 0 if the job ended before it."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    # Processes whose parent ends become children of the guard, so that none is lost from sight.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    server = subprocess.Popen(
        sys.argv[1:],
        stdin=subprocess.DEVNULL,
        preexec_fn=start_of_server,
    )
    while server.poll() is None:
        job_ended, _, _ = select.select([sys.stdin], [], [], POLL_SECONDS)
        if job_ended:
            stop_all()
            return 0
    stop_all()
    return server.returncode


def start_of_server() -> None:
    """Prepare the server's process: signals as usual, and an end with the guard's."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
