"""The overhead of a job on Slurm, on a temporary test cluster on this machine."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import yaml
from figures import Figure, Figures
from project_copy import PROGRAMS, ROOT, environment, project_copy

sys.path.insert(0, str(ROOT / "tests/slurm"))
from cluster import Cluster

ROUNDS = 3
TARGET = "results/synthetic/ethical/topics.jsonl"


def measure() -> Figures:
    """Time an empty job with sbatch, and a short job with Snakemake, here and on Slurm."""
    if shutil.which("sbatch") is None:
        return {"not measured": Figure("no Slurm here: tests/slurm/install")}
    with running_cluster(), project_copy() as project:
        sbatch = ["sbatch", "--wait", "--account=research", "--output=/dev/null", "--wrap=true"]
        here = [str(PROGRAMS / "snakemake"), "--cores=1", "--configfile", "config/demo.yaml"]
        slurm = [str(PROGRAMS / "snakemake"), "--profile=profiles/slurm"]
        slurm += ["--configfile", "config/demo.yaml"]
        set_first_check(project, seconds=1)
        alone = time_command(sbatch, project)
        local = time_command([*here, "--", TARGET], project)
        soon = time_command([*slurm, "--", TARGET], project)
        set_first_check(project, seconds=5)
        shipped = time_command([*slurm, "--", TARGET], project)
    return {
        "sbatch --wait of an empty job, s": Figure(alone),
        "Snakemake without Slurm, s": Figure(local),
        "Snakemake on Slurm, first check after 1 s, s": Figure(soon),
        "Snakemake on Slurm, profile unchanged, s": Figure(shipped),
        "overhead beyond sbatch, profile unchanged, s": Figure(shipped - local - alone),
    }


@contextmanager
def running_cluster() -> Iterator[None]:
    """Run a cluster for the commands inside the block."""
    directory = Path(tempfile.mkdtemp(prefix="aligners-slurm-", dir="/tmp"))
    cluster = Cluster(directory)
    try:
        cluster.start()
        os.environ.update(cluster.environment)
        yield
    finally:
        cluster.stop()
        shutil.rmtree(directory)


def set_first_check(project: Path, seconds: int) -> None:
    """Set after how many seconds Snakemake checks a job for the first time."""
    path = project / "profiles/slurm/config.yaml"
    profile = yaml.safe_load(path.read_text())
    profile["slurm-init-seconds-before-status-checks"] = seconds
    path.write_text(yaml.safe_dump(profile))


def time_command(command: Sequence[str], project: Path) -> float:
    """Return the median seconds of several runs, each without the results of earlier runs."""
    seconds = []
    for _ in range(ROUNDS):
        shutil.rmtree(project / "results", ignore_errors=True)
        started = time.perf_counter()
        subprocess.run(
            command, cwd=project, env=environment(project), check=True, capture_output=True
        )
        seconds.append(time.perf_counter() - started)
    return median(seconds)
