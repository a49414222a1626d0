"""Runs of the workflow with the Slurm profile, on the test cluster."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml
from cluster import Cluster
from projects import MINIATURE, environment

PROFILE = "profiles/slurm/config.yaml"
SNAKEMAKE = str(Path(sys.executable).parent / "snakemake")


@dataclass
class Run:
    """A run of Snakemake in the background, and the file of its output."""

    process: subprocess.Popen[bytes]
    output: Path


def prepare(project: Path) -> Path:
    """Adapt the profile to few cores and short jobs, which Snakemake checks often."""
    path = project / PROFILE
    profile = yaml.safe_load(path.read_text())
    profile["set-threads"] = dict.fromkeys(profile["set-threads"], 1)
    profile["slurm-init-seconds-before-status-checks"] = 1
    path.write_text(yaml.safe_dump(profile))
    return project


def start(project: Path, *targets: str, flags: tuple[str, ...] = ()) -> Run:
    """Start a run in the background."""
    output = project / "snakemake.out"
    command = [SNAKEMAKE, "--profile", "profiles/slurm", "--configfile", MINIATURE, *flags]
    with output.open("ab") as handle:
        process = subprocess.Popen(
            [*command, "--", *targets],
            cwd=project,
            env=environment(project),
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            # Background jobs of a shell ignore this signal, and their children inherit that.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    return Run(process, output)


def interrupt(run: Run) -> None:
    """End a run like Ctrl-C, so that it cancels its jobs."""
    run.process.send_signal(signal.SIGINT)
    run.process.wait(timeout=300)


def finish(run: Run, seconds: float = 600, status: int = 0) -> str:
    """Wait for the end of a run, check its exit status, and return its output."""
    try:
        actual = run.process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        interrupt(run)
        actual = None
    text = run.output.read_text()
    assert actual == status, text[-6000:]
    return text


def wait_until(condition: Callable[[], bool], run: Run, seconds: float = 600) -> None:
    """Wait until a condition is true, while a run continues."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert run.process.poll() is None, run.output.read_text()[-6000:]
        assert time.monotonic() < deadline, run.output.read_text()[-6000:]
        time.sleep(0.05)


def running_job(cluster: Cluster, rule: str) -> str:
    """Return the id of the only running job of a rule."""
    listing = cluster.output("squeue", "--noheader", "--states=running", "--format=%i %k")
    [job] = [line.split()[0] for line in listing.splitlines() if f"rule_{rule}_" in line]
    return job
