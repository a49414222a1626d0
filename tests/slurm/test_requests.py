"""Requests that the cluster can never meet stop a run before its first job."""

import re
from pathlib import Path

import pytest
from cluster import Cluster
from workflow_runs import finish, start

TARGET = "results/synthetic/ethical/topics.jsonl"


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (
            ["--default-resources", "slurm_account=nobody", "slurm_partition=gpu"],
            ["default-resources, slurm_account", "'nobody'"],
        ),
        (
            ["--default-resources", "slurm_account=research", "slurm_partition=gpux"],
            ["default-resources, slurm_partition", "'gpux'", "gpu, urgent"],
        ),
        (
            ["--set-resources", "generate_topics:gpu=3"],
            ["set-resources, generate_topics, gpu", "3 GPUs", "partition gpu", "2"],
        ),
        (
            ["--set-resources", "generate_topics:mem_mb=900000"],
            ["set-resources, generate_topics, mem_mb", "900000 MB", "partition gpu", "512000"],
        ),
        (
            ["--set-resources", "generate_topics:runtime=20000"],
            ["set-resources, generate_topics, runtime", "20000 minutes", "partition gpu", "10080"],
        ),
        (
            ["--set-threads", "generate_topics=65"],
            ["set-threads, generate_topics", "65 CPUs", "partition gpu", "64"],
        ),
    ],
    ids=["account", "partition", "gpus", "memory", "time", "cpus"],
)
def test_a_request_that_no_node_can_meet_stops_the_run(
    cluster: Cluster, project: Path, flags: list[str], parts: list[str]
) -> None:
    (project / TARGET).unlink()
    output = finish(start(project, TARGET, flags=tuple(flags)), status=1)
    for part in ["profiles/slurm/config.yaml", *parts]:
        assert part in output
    assert "Traceback" not in output and "has been submitted" not in output


def test_a_partition_that_cancels_preempted_jobs_gets_a_warning(
    cluster: Cluster, project: Path
) -> None:
    (project / TARGET).unlink()
    cluster.run("scontrol", "update", "PartitionName=gpu", "PreemptMode=CANCEL")
    try:
        output = finish(start(project, TARGET))
    finally:
        cluster.run("scontrol", "update", "PartitionName=gpu", "PreemptMode=REQUEUE")
    assert re.search(r"partition gpu .*preempt", output, re.IGNORECASE)


def test_a_cluster_that_soon_forgets_jobs_stops_the_run(cluster: Cluster, project: Path) -> None:
    (project / TARGET).unlink()
    configuration = cluster.directory / "etc/slurm.conf"
    before = configuration.read_text()
    configuration.write_text(f"{before}\nMinJobAge=30\n")
    cluster.run("scontrol", "reconfigure")
    try:
        output = finish(start(project, TARGET), status=1)
    finally:
        configuration.write_text(before)
        cluster.run("scontrol", "reconfigure")
    assert "slurm-status-command" in output and "30 s" in output
