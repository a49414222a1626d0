"""Jobs that a cluster takes away in the middle: they go on, and the result is the same.

Each test disturbs one job, and compares with a run that nothing disturbed.
"""

import signal
import subprocess
from collections.abc import Callable
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
ANSWERS = "results/responses/many/local/0.jsonl"


@pytest.fixture(scope="session")
def undisturbed(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a run that nothing disturbed, on this machine, without the cluster."""
    project = tmp_path_factory.mktemp("undisturbed")
    subprocess.run(["cp", "--archive", f"{data}/.", project], check=True)
    run_snakemake(project, f"{ALIGNER}/metrics.json", ANSWERS)
    return project


def checkpoints(project: Path) -> list[int]:
    """Return the steps of the checkpoints of the training that are whole."""
    found = project.glob("results/.working/*gpt2-slow*/checkpoint-*/checksums.json")
    return [int(path.parent.name.split("-")[1]) for path in found]


def ledger(project: Path) -> list[bytes]:
    """Return the whole lines of the ledger of the LLM's answers, without the header."""
    paths = list(project.glob("results/.working/*many+local*/0.jsonl"))
    return paths[0].read_bytes().rpartition(b"\n")[0].split(b"\n")[1:] if paths else []


def scancel(cluster: Cluster, job: str) -> None:
    """Take a job away by hand."""
    cluster.run("scancel", job)


def requeue(cluster: Cluster, job: str) -> None:
    """Put a job that runs back into the queue."""
    cluster.run("scontrol", "requeue", job)
    hasten(cluster, job)


def hasten(cluster: Cluster, job: str) -> None:
    """Let a job start now that Slurm put back into the queue, for two minutes at least."""
    state = ["squeue", "--noheader", f"--jobs={job}", "--format=%T"]
    wait_for("the job is queued again", lambda: cluster.output(*state) == "PENDING")
    cluster.run("scontrol", "update", f"JobId={job}", "StartTime=now")


def preempt(cluster: Cluster, job: str) -> None:
    """Take all GPUs for a more urgent job."""
    request = "--partition=urgent --account=research --nodes=2 --gpus-per-node=2 --wrap=true"
    cluster.run("sbatch", "--output=/dev/null", *request.split())
    hasten(cluster, job)


def lose_node(cluster: Cluster, job: str) -> None:
    """Let the node of a job die: its daemon and all that runs there."""
    node = cluster.output("squeue", "--noheader", f"--jobs={job}", "--format=%N")
    cluster.stop_daemon(f"slurmd-{node}", signal.SIGKILL)
    for process in psutil.process_iter(["name", "cmdline"]):
        of_the_job = f"slurmstepd: [{job}." in " ".join(process.info["cmdline"] or [])
        if of_the_job:
            for each in [*process.children(recursive=True), process]:
                each.kill()
    wait_for("the node is down", lambda: "down" in cluster.node_states()[int(node[1]) - 1])
    hasten(cluster, job)


Disturbance = Callable[[Cluster, str], None]
DISTURBANCES = [scancel, requeue, preempt, lose_node]


@pytest.mark.parametrize("disturb", DISTURBANCES)
def test_a_training_goes_on(
    cluster: Cluster, project: Path, undisturbed: Path, disturb: Disturbance
) -> None:
    run = start(project, f"{ALIGNER}/metrics.json")
    wait_until(lambda: len(checkpoints(project)) >= 2, run)
    done = max(checkpoints(project))
    disturb(cluster, running_job(cluster, "train_aligner"))
    finish(run)
    check_training(project, undisturbed, done)


def test_a_training_over_its_time_goes_on(
    cluster: Cluster, project: Path, undisturbed: Path
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
        trains = any(word.endswith("workflow/scripts/train_aligner.py") for word in words)
        if trains and process.info["cwd"] == str(project):
            process.suspend()  # Its time goes by.
    finish(run)
    state = ["sacct", "--noheader", "--allocations", f"--jobs={job}", "--format=State"]
    assert cluster.output(*state) == "TIMEOUT"
    check_training(project, undisturbed, done)


def check_training(project: Path, undisturbed: Path, done: int) -> None:
    """See that a training went on from a checkpoint no older than `done`, to the same result."""
    log = (project / "logs/train_aligner/gpt2-slow/ethical.log").read_text()
    first = int(log.split("steps [")[0].split("%")[-1].split("/")[0])
    assert first >= done > 0
    expected = read_json(undisturbed / ALIGNER / "metrics.json")
    assert read_json(project / ALIGNER / "metrics.json") == expected
    weights = load_file(project / ALIGNER / "model/model.safetensors")
    for name, tensor in load_file(undisturbed / ALIGNER / "model/model.safetensors").items():
        assert weights[name].equal(tensor), name


@pytest.mark.parametrize("disturb", DISTURBANCES)
def test_a_generation_goes_on(
    cluster: Cluster, project: Path, undisturbed: Path, disturb: Disturbance
) -> None:
    run = start(project, ANSWERS)
    wait_until(lambda: len(ledger(project)) >= 10, run)
    disturb(cluster, running_job(cluster, "generate_responses"))
    written = ledger(project)
    finish(run)
    check_answers(project, undisturbed, written)


def check_answers(project: Path, undisturbed: Path, written: list[bytes]) -> None:
    """See that no answer was generated twice, and that all are as they would have been."""
    lines = ledger(project)
    assert 10 <= len(written) < len(lines)
    assert lines[: len(written)] == written
    assert len(lines) == len(set(lines)) == len(ledger(undisturbed))
    assert read_rows(project / ANSWERS) == read_rows(undisturbed / ANSWERS)


def test_snakemake_interrupted_and_started_again(
    cluster: Cluster, project: Path, undisturbed: Path
) -> None:
    targets = [f"{ALIGNER}/metrics.json", ANSWERS]
    run = start(project, *targets)
    wait_until(lambda: bool(checkpoints(project)) and len(ledger(project)) >= 10, run)
    done = max(checkpoints(project))
    interrupt(run)
    wait_for("its jobs are cancelled", lambda: not cluster.output("squeue", "--noheader"))
    written = ledger(project)
    finish(start(project, *targets))
    check_training(project, undisturbed, done)
    check_answers(project, undisturbed, written)
