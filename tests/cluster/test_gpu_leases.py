"""On a machine without a scheduler, each job has GPUs of its own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from projects import ROOT, make_project, run_snakemake

PROGRAM = str(ROOT / "workflow/scripts/lease_gpus.py")
# Says which GPUs it sees, and goes on until its standard input ends.
COMMAND = "import os, sys; print(os.environ['CUDA_VISIBLE_DEVICES'], flush=True); sys.stdin.read()"
SECONDS = 30


class Job:
    """A command on leased GPUs, which goes on until it is told to end."""

    def __init__(self, count: int, environment: dict[str, str]):
        self.process = subprocess.Popen(
            [sys.executable, PROGRAM, str(count), sys.executable, "-c", COMMAND],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def gpus(self) -> set[str]:
        """Wait for its lease, and return what it sees."""
        return set(self.process.stdout.readline().strip().split(","))

    def is_waiting(self) -> bool:
        """Tell whether it still waits after some time."""
        os.set_blocking(self.process.stdout.fileno(), False)
        time.sleep(2)
        waits = self.process.stdout.readline() == ""
        os.set_blocking(self.process.stdout.fileno(), True)
        return waits and self.process.poll() is None

    def end(self, how: int | None = None) -> None:
        """Let it end by itself, or by a signal."""
        if how is not None:
            self.process.send_signal(how)
        self.process.communicate(timeout=SECONDS)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A machine with two pretended GPUs, and leases of its own."""
    (tmp_path / "temporary").mkdir()
    return {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "0,1",
        "TMPDIR": str(tmp_path / "temporary"),
    }


@pytest.fixture
def jobs(environment: dict[str, str]) -> Iterator[list[Job]]:
    """Two jobs that have a GPU each, and one that waits; ended after the test."""
    made = [Job(1, environment), Job(1, environment)]
    assert made[0].gpus() | made[1].gpus() == {"0", "1"}
    yield made
    for job in made:
        job.end(signal.SIGKILL)


@pytest.mark.parametrize("how", [None, signal.SIGTERM, signal.SIGKILL])
def test_a_lease_ends_with_its_job(
    jobs: list[Job], environment: dict[str, str], how: int | None
) -> None:
    jobs.append(third := Job(1, environment))
    assert third.is_waiting()
    jobs[0].end(how)
    assert len(third.gpus()) == 1


def test_a_job_that_needs_all_is_not_overtaken(
    jobs: list[Job], environment: dict[str, str]
) -> None:
    jobs.append(large := Job(2, environment))
    assert large.is_waiting()
    jobs.append(small := Job(1, environment))
    jobs[0].end()
    assert small.is_waiting()
    jobs[1].end()
    assert large.gpus() == {"0", "1"}
    assert small.is_waiting()


def test_a_lease_lasts_as_long_as_a_server_that_the_job_left(
    environment: dict[str, str], tmp_path: Path
) -> None:
    script = f"{sys.executable} -c 'import time; time.sleep(4)' & echo started"
    command = [sys.executable, PROGRAM, "2", "sh", "-c", script]
    subprocess.run(command, env=environment, check=True, timeout=SECONDS, stdout=subprocess.DEVNULL)
    job = Job(1, environment)
    assert job.is_waiting()
    assert job.gpus() <= {"0", "1"}
    job.end()


def test_more_gpus_than_the_machine_has(environment: dict[str, str]) -> None:
    result = subprocess.run(
        [sys.executable, PROGRAM, "3", "true"], env=environment, capture_output=True, text=True
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: 3 GPUs are asked for, and this machine has 2")


def test_the_workstation_profile_shares_the_gpus_out(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", environment["CUDA_VISIBLE_DEVICES"])
    monkeypatch.setenv("TMPDIR", environment["TMPDIR"])
    project = make_project(tmp_path)
    profile = yaml.safe_load((project / "profiles/workstation/config.yaml").read_text())
    profile["resources"] = ["gpu=2"]
    (project / "profiles/workstation/config.yaml").write_text(yaml.safe_dump(profile))
    run_snakemake(project, "--profile=profiles/workstation", "results/synthetic/all")
    said = [path.read_text() for path in project.glob("logs/generate_*/**/*.log")]
    found = [re.search(r"^GPUs (.+) of this machine$", text, re.MULTILINE) for text in said]
    assert len(found) == 8 and all(found)
    assert {each[1] for each in found if each} == {"0", "1"}
