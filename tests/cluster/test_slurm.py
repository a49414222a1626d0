"""Output of Slurm's commands, and job requests. tests/slurm has the tests on a real cluster."""

import sys
from dataclasses import replace
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
    NodeGroup("a[1-2]", "gpu", minutes=600, gpus=1, cpus=64, memory=512_000),
    NodeGroup("b1", "gpu", minutes=600, gpus=2, cpus=8, memory=64_000),
    NodeGroup("c1", "long", minutes=sys.maxsize, gpus=0, cpus=8, memory=64_000),
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
    [nodes] = read_nodes(f"a[1-2]|gpu|1-00:00:00|64|512000|{resources}\n")
    assert nodes == NodeGroup("a[1-2]", "gpu", minutes=1440, gpus=gpus, cpus=64, memory=512_000)


def test_a_request_up_to_the_limits_of_the_partition_is_accepted() -> None:
    check_request(REQUEST, NODES)


def test_without_a_partition_any_node_can_meet_the_request() -> None:
    check_request(JobRequest("generate_topics", None, None, 0, 8, 64_000, minutes=10_000), NODES)


def test_the_limits_of_other_partitions_do_not_count() -> None:
    with pytest.raises(UserError, match=r"train_aligner, gpu: .*\blong\b.*\bc1, has 0 of 2 GPUs;"):
        check_request(
            JobRequest("train_aligner", "long", None, 2, 8, 64_000, minutes=10_000), NODES
        )


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"gpus": 2, "memory": 100_000}, ["b1", "train_aligner, mem_mb", "64000 of 100000 MB"]),
        ({"gpus": 1, "cpus": 65}, ["a[1-2]", "set-threads, train_aligner", "64 of 65 CPUs"]),
        ({"gpus": 4, "cpus": 32}, ["a[1-2]", "train_aligner, gpu", "1 of 4 GPUs"]),
        ({"gpus": 9, "memory": 600_000}, ["train_aligner, gpu and", "of 9 GPUs and"]),
        ({"minutes": 601}, ["b1", "train_aligner, runtime", "600 of 601 minutes"]),
    ],
)
def test_a_request_that_no_single_node_meets_names_the_closest_node(
    changes: dict[str, int], parts: list[str]
) -> None:
    """Each value may be met by some node of the partition, but not all by the same one."""
    with pytest.raises(UserError) as caught:
        check_request(replace(REQUEST, **changes), NODES)
    for part in parts:
        assert part in str(caught.value)


def test_without_nodes_the_message_names_the_command() -> None:
    with pytest.raises(UserError, match="sinfo"):
        check_request(replace(REQUEST, partition=None), [])


def test_slurm_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match=r"sinfo: .*--profile profiles/workstation"):
        run_slurm("sinfo")
