"""Jobs that a cluster interrupts: they continue, and the result is the same.

Each test interrupts one job, and compares the result with that of an uninterrupted run.
"""

import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
import yaml
from cluster import Cluster, wait_for
from projects import run_snakemake
from safetensors.torch import load_file
from workflow_runs import PROFILE, finish, interrupt, running_job, start, wait_until

from aligners.core.rows import read_json, read_rows

ALIGNER = "results/aligners/gpt2-slow/ethical"
RESPONSES = "results/responses/many/local/0.jsonl"


@pytest.fixture(scope="session")
def uninterrupted(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with the results of an uninterrupted run, without the cluster."""
    project = tmp_path_factory.mktemp("uninterrupted")
    subprocess.run(["cp", "--archive", f"{data}/.", project], check=True)
    run_snakemake(project, f"{ALIGNER}/metrics.json", RESPONSES)
    return project


def checkpoints(project: Path) -> list[int]:
    """Return the steps of the training's complete checkpoints."""
    found = project.glob("results/.working/*gpt2-slow*/checkpoint-*/checksums.json")
    return [int(path.parent.name.split("-")[1]) for path in found]


def ledger(project: Path) -> list[bytes]:
    """Return the complete lines of the ledger of the LLM's responses, without the header."""
    paths = list(project.glob("results/.working/*many+local*/0.jsonl"))
    return paths[0].read_bytes().rpartition(b"\n")[0].split(b"\n")[1:] if paths else []


def scancel(cluster: Cluster, job: str) -> None:
    """Cancel a job by hand."""
    cluster.run("scancel", job)


def requeue(cluster: Cluster, job: str) -> None:
    """Put a running job back into the queue."""
    cluster.run("scontrol", "requeue", job)
    start_now(cluster, job)


def start_now(cluster: Cluster, job: str) -> None:
    """Let a requeued job start now; otherwise Slurm waits for at least two minutes."""
    state = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
    wait_for("the job is queued again", lambda: cluster.output(*state) == "PENDING")
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")


def preempt(cluster: Cluster, job: str) -> None:
    """Use all GPUs for a job of higher priority."""
    request = "--partition=urgent --account=research --nodes=2 --gpus-per-node=2 --wrap=true"
    cluster.run("sbatch", "--output=/dev/null", *request.split())
    start_now(cluster, job)


def kill_node(cluster: Cluster, job: str) -> None:
    """Kill the node of a job: its daemon and all its processes."""
    node = cluster.output("squeue", "--noheader", f"--jobs={job}", "--format=%N")
    cluster.stop_daemon(f"slurmd-{node}", signal.SIGKILL)
    steps = [
        process
        for process in psutil.process_iter(["cmdline"])
        if f"slurmstepd: [{job}." in " ".join(process.info["cmdline"] or [])
    ]
    children = [child for step in steps for child in step.children(recursive=True)]
    # The steps first: one that sees its children end reports that the job has failed.
    for process in [*steps, *children]:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    wait_for("the node is down", lambda: "down" in cluster.node_states()[int(node[1]) - 1])
    start_now(cluster, job)


Interruption = Callable[[Cluster, str], None]
INTERRUPTIONS = [scancel, requeue, preempt, kill_node]


@pytest.mark.parametrize("interrupt_job", INTERRUPTIONS)
def test_an_interrupted_training_continues(
    cluster: Cluster, project: Path, uninterrupted: Path, interrupt_job: Interruption
) -> None:
    run = start(project, f"{ALIGNER}/metrics.json")
    wait_until(lambda: len(checkpoints(project)) >= 2, run)
    done = max(checkpoints(project))
    interrupt_job(cluster, running_job(cluster, "train_aligner"))
    finish(run)
    check_training(project, uninterrupted, done)


def test_a_training_over_its_time_limit_continues(
    cluster: Cluster, project: Path, uninterrupted: Path
) -> None:
    profile = yaml.safe_load((project / PROFILE).read_text())
    profile["set-resources"]["train_aligner"]["runtime"] = 1
    (project / PROFILE).write_text(yaml.safe_dump(profile))
    run = start(project, f"{ALIGNER}/metrics.json")
    wait_until(lambda: len(checkpoints(project)) >= 2, run)
    done = max(checkpoints(project))
    job = running_job(cluster, "train_aligner")
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = process.info["cmdline"] or []
        is_training = any(word.endswith("workflow/scripts/train_aligner.py") for word in words)
        if is_training and process.info["cwd"] == str(project):
            process.suspend()  # It makes no progress, but its time passes.
    finish(run)
    state = ["sacct", "--noheader", "--allocations", f"--jobs={job}", "--format=State"]
    assert cluster.output(*state) == "TIMEOUT"
    check_training(project, uninterrupted, done)


def check_training(project: Path, uninterrupted: Path, done: int) -> None:
    """Check that a training continued from step `done` or later, with the same result."""
    log = (project / "logs/train_aligner/gpt2-slow/ethical.log").read_text()
    first = int(log.split("steps [")[0].split("%")[-1].split("/")[0])
    assert first >= done > 0
    expected = read_json(uninterrupted / ALIGNER / "metrics.json")
    assert read_json(project / ALIGNER / "metrics.json") == expected
    weights = load_file(project / ALIGNER / "model/model.safetensors")
    for name, tensor in load_file(uninterrupted / ALIGNER / "model/model.safetensors").items():
        assert weights[name].equal(tensor), name


@pytest.mark.parametrize("interrupt_job", INTERRUPTIONS)
def test_an_interrupted_generation_continues(
    cluster: Cluster, project: Path, uninterrupted: Path, interrupt_job: Interruption
) -> None:
    run = start(project, RESPONSES)
    wait_until(lambda: len(ledger(project)) >= 10, run)
    interrupt_job(cluster, running_job(cluster, "generate_responses"))
    written = ledger(project)
    finish(run)
    check_responses(project, uninterrupted, written)


def check_responses(project: Path, uninterrupted: Path, written: list[bytes]) -> None:
    """Check that no response was generated twice, and that all are the same."""
    lines = ledger(project)
    assert 10 <= len(written) < len(lines)
    assert lines[: len(written)] == written
    assert len(lines) == len(set(lines)) == len(ledger(uninterrupted))
    assert read_rows(project / RESPONSES) == read_rows(uninterrupted / RESPONSES)


def test_an_interrupted_run_of_snakemake_continues(
    cluster: Cluster, project: Path, uninterrupted: Path
) -> None:
    targets = [f"{ALIGNER}/metrics.json", RESPONSES]
    run = start(project, *targets)
    wait_until(lambda: bool(checkpoints(project)) and len(ledger(project)) >= 10, run)
    done = max(checkpoints(project))
    interrupt(run)
    wait_for("its jobs are cancelled", lambda: not cluster.output("squeue", "--noheader"))
    written = ledger(project)
    finish(start(project, *targets))
    check_training(project, uninterrupted, done)
    check_responses(project, uninterrupted, written)
