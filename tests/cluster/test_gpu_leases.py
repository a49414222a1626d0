"""GPU leases on a machine without a scheduler: no two jobs have the same GPU."""

import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tiny_training_process
import yaml
from projects import ROOT, make_project, run_snakemake
from served_jobs import FAULTY, check_that_all_end, running, served, start_job

PROGRAM = str(ROOT / "workflow/scripts/lease_gpus.py")
# Prints its GPUs, and runs until its standard input ends.
COMMAND = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"
# A limit against hanging tests.
SECONDS = 300


class Job:
    """A command on leased GPUs, which runs until the test ends it."""

    def __init__(self, count: int, environment: dict[str, str]):
        self.queue = Path(environment["TMPDIR"]) / "gpu-leases/turn.lock"
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, str(count), sys.executable, "-c", COMMAND],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def gpus(self) -> set[str]:
        """Wait for the lease, and return the GPUs."""
        assert select.select([self.process.stdout], [], [], SECONDS)[0], "no lease"
        return set(self.process.stdout.readline().strip().split(","))

    def wait_until_queued(self) -> None:
        """Wait until this job has opened the lock of the queue, and some job holds it."""
        deadline = time.monotonic() + SECONDS
        while not (self.has_opened_queue() and self.queue_is_locked()):
            has_lease = select.select([self.process.stdout], [], [], 0)[0]
            assert not has_lease and time.monotonic() < deadline, "not queued"
            time.sleep(0.01)

    def has_opened_queue(self) -> bool:
        """Return whether the lock of the queue is open in the process."""
        descriptors = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return any(os.path.realpath(each) == str(self.queue) for each in descriptors)

    def queue_is_locked(self) -> bool:
        """Return whether any job holds the lock of the queue."""
        with self.queue.open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def end(self, sent: int | None = None) -> None:
        """Send the signal, or close the standard input, and wait for the end."""
        if sent is not None:
            self.process.send_signal(sent)
        self.process.communicate(timeout=SECONDS)


def check_free_gpu(environment: dict[str, str]) -> None:
    """Check that GPU 0 becomes free: a process that has ended can still be closing its files."""
    deadline = time.monotonic() + SECONDS
    gpus: set[str] = set()
    while gpus != {"0"}:
        assert time.monotonic() < deadline, gpus
        job = Job(1, environment)
        gpus = job.gpus()
        job.end()


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine with two simulated GPUs and its own leases."""
    (tmp_path / "temporary").mkdir()
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "0,1",
        "TMPDIR": str(tmp_path / "temporary"),
    }


@pytest.fixture
def jobs(environment: dict[str, str]) -> Iterator[list[Job]]:
    """A job with GPU 0 and one with GPU 1; a test may add jobs. All end after the test."""
    started: list[Job] = []
    try:
        for gpu in ("0", "1"):
            started.append(Job(1, environment))
            assert started[-1].gpus() == {gpu}
        yield started
    finally:
        for job in started:
            job.end(signal.SIGKILL)


@pytest.mark.parametrize("sent", [None, signal.SIGTERM, signal.SIGKILL])
def test_a_waiting_job_gets_the_gpu_of_the_job_that_ends(
    jobs: list[Job], environment: dict[str, str], sent: int | None
) -> None:
    jobs.append(third := Job(1, environment))
    third.wait_until_queued()
    jobs[1].end(sent)
    assert third.gpus() == {"1"}


def test_a_small_job_does_not_overtake_a_large_job(
    jobs: list[Job], environment: dict[str, str]
) -> None:
    jobs.append(large := Job(2, environment))
    large.wait_until_queued()
    jobs.append(small := Job(1, environment))
    small.wait_until_queued()
    jobs[0].end()
    jobs[1].end()
    # If the small job had a GPU, the large job would never have both.
    assert large.gpus() == {"0", "1"}
    large.end()
    assert small.gpus() == {"0"}


def test_a_lease_lasts_until_the_server_ends_that_the_job_started(
    environment: dict[str, str], tmp_path: Path
) -> None:
    launcher = [sys.executable, PROGRAM, "1"]
    job = start_job(served(FAULTY), tmp_path, "stay", *launcher, **environment)
    [guard] = psutil.Process(job.pid).children()
    guard.suspend()  # The server runs until the guard stops it.
    job.kill()
    job.wait(SECONDS)
    during = Job(1, environment)
    try:
        assert during.gpus() == {"1"}  # The server still has GPU 0.
    finally:
        guard.resume()
        during.end()
    check_that_all_end(tmp_path)
    check_free_gpu(environment)


def test_a_lease_lasts_until_the_training_ends_whose_launcher_was_killed(
    environment: dict[str, str], tmp_path: Path
) -> None:
    launcher = [PROGRAM, "1", sys.executable, "-m", "accelerate.commands.launch", "--quiet"]
    configuration = f"--config_file={ROOT}/config/accelerate/cpu.yaml"
    training = [str(tmp_path), "{}", "2", "kill launcher and pause"]
    job = subprocess.Popen(
        [sys.executable, *launcher, configuration, tiny_training_process.__file__, *training],
        env={
            **environment,
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "JOB_OF_TEST": str(tmp_path),
        },
    )
    job.wait(SECONDS)
    [paused] = running(tmp_path)
    deadline = time.monotonic() + SECONDS
    while paused.status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    during = Job(1, environment)
    try:
        assert during.gpus() == {"1"}  # The training still has GPU 0.
    finally:
        paused.resume()
        during.end()
    check_that_all_end(tmp_path)
    assert [each.name for each in tmp_path.glob("work/checkpoint-*")] == ["checkpoint-2"]
    assert (tmp_path / "exit-0").read_text() == str(128 + signal.SIGTERM)
    check_free_gpu(environment)


def test_a_job_that_requests_more_gpus_than_the_machine_has_fails(
    environment: dict[str, str],
) -> None:
    result = subprocess.run(
        [sys.executable, PROGRAM, "3", "true"], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert re.match(r"error: .*\b3 GPUs.*\b2\b", result.stderr)
    assert "resources: [gpu=N]" in result.stderr


def test_jobs_of_the_workstation_profile_use_all_gpus(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", environment["CUDA_VISIBLE_DEVICES"])
    monkeypatch.setenv("TMPDIR", environment["TMPDIR"])
    project = make_project(tmp_path)
    profile = yaml.safe_load((project / "profiles/workstation/config.yaml").read_text())
    profile["resources"] = ["gpu=2"]
    (project / "profiles/workstation/config.yaml").write_text(yaml.safe_dump(profile))
    run_snakemake(project, "--profile=profiles/workstation", "results/synthetic/all")
    logs = [path.read_text() for path in project.glob("logs/generate_*/**/*.log")]
    found = [re.search(r"^GPUs (.+) of this machine$", text, re.MULTILINE) for text in logs]
    assert len(found) == 8 and all(found)
    assert {each[1] for each in found if each} == {"0", "1"}
