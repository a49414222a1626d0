"""What Slurm's commands print is read rightly; the messages on a real cluster are tests/slurm's."""

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

DEMAND = JobRequest("train_aligner", "gpu", None, gpus=2, cpus=8, memory=64_000, minutes=600)
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
def test_time_limits(limit: str, minutes: int) -> None:
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
def test_gpus_of_nodes(resources: str, gpus: int) -> None:
    [nodes] = read_nodes(f"gpu|1-00:00:00|64|512000|{resources}\n")
    assert nodes == NodeGroup("gpu", minutes=1440, gpus=gpus, cpus=64, memory=512_000)


def test_what_the_largest_nodes_of_the_partition_have_is_enough() -> None:
    check_request(DEMAND, NODES)


def test_without_a_partition_any_node_counts() -> None:
    check_request(JobRequest("train_aligner", None, None, 2, 8, 64_000, minutes=10_000), NODES)


def test_other_partitions_do_not_count() -> None:
    with pytest.raises(UserError, match=r"gpu: 2 GPUs on a node .* partition long has at most 0"):
        check_request(
            JobRequest("train_aligner", "long", None, 2, 8, 64_000, minutes=10_000), NODES
        )


def test_no_slurm_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="sinfo: not found; profiles/slurm is for the login node"):
        run_slurm("sinfo")
