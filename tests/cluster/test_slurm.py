"""Output of Slurm's commands, and job requests. tests/slurm has the tests on a real cluster."""

import sys
from pathlib import Path

import pytest

from aligners.cluster.slurm import (
    JobRequest,
    NodeGroup,
    check_request,
    read_minutes,
    read_nodes,
    run_slurm,
)
from aligners.core.errors import UserError

REQUEST = JobRequest("train_aligner", "gpu", None, gpus=2, cpus=8, memory=64_000, minutes=600)
NODES = [
    NodeGroup("gpu", minutes=600, gpus=1, cpus=64, memory=512_000),
    NodeGroup("gpu", minutes=600, gpus=2, cpus=8, memory=64_000),
    NodeGroup("long", minutes=sys.maxsize, gpus=0, cpus=8, memory=64_000),
]


@pytest.mark.parametrize(
    ("limit", "minutes"),
    [
        ("30:00", 30),
        ("1:00:00", 60),
        ("1-02:30:00", 1590),
        ("7-00:00:00", 10080),
        ("infinite", sys.maxsize),
    ],
)
def test_time_limits_are_read_in_minutes(limit: str, minutes: int) -> None:
    assert read_minutes(limit) == minutes


@pytest.mark.parametrize(
    ("resources", "gpus"),
    [
        ("(null)", 0),
        ("gpu:2", 2),
        ("gpu:a100:4(S:0-1)", 4),
        ("gpu:a100:4(S:0-1),gpu:t4:2(S:1),nvme:1", 6),
        ("craynetwork:4", 0),
    ],
)
def test_gpus_of_all_types_on_a_node_are_counted(resources: str, gpus: int) -> None:
    [nodes] = read_nodes(f"gpu|1-00:00:00|64|512000|{resources}\n")
    assert nodes == NodeGroup("gpu", minutes=1440, gpus=gpus, cpus=64, memory=512_000)


def test_a_request_up_to_the_limits_of_the_partition_is_accepted() -> None:
    check_request(REQUEST, NODES)


def test_without_a_partition_the_limits_of_all_nodes_count() -> None:
    check_request(JobRequest("train_aligner", None, None, 2, 8, 64_000, minutes=10_000), NODES)


def test_the_limits_of_other_partitions_do_not_count() -> None:
    with pytest.raises(UserError, match=r"train_aligner, gpu: .*\b2 GPUs.*\blong\b.*\b0;"):
        check_request(
            JobRequest("train_aligner", "long", None, 2, 8, 64_000, minutes=10_000), NODES
        )


def test_slurm_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"sinfo: .*--profile profiles/workstation"):
        run_slurm("sinfo")
