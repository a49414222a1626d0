"""What a cluster can never run is refused before the first job is queued."""

from pathlib import Path

import pytest
from cluster import Cluster
from workflow_runs import finish, start

TARGET = "results/synthetic/ethical/topics.jsonl"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--default-resources", "slurm_account=nobody", "slurm_partition=gpu"],
            "default-resources, slurm_account: 'nobody' is not an account of",
        ),
        (
            ["--default-resources", "slurm_account=research", "slurm_partition=gpux"],
            "default-resources, slurm_partition: the cluster has no partition 'gpux'; "
            "use one of gpu, urgent",
        ),
        (
            ["--set-resources", "generate_topics:gpu=3"],
            "set-resources, generate_topics, gpu: the job requests 3 GPUs on a node, but partition "
            "gpu has at most 2",
        ),
        (
            ["--set-resources", "generate_topics:mem_mb=900000"],
            "set-resources, generate_topics, mem_mb: the job requests 900000 MB on a node, but "
            "partition gpu has at most 512000",
        ),
        (
            ["--set-resources", "generate_topics:runtime=20000"],
            "set-resources, generate_topics, runtime: the job requests 20000 minutes, but "
            "partition gpu has at most 10080",
        ),
        (
            ["--set-threads", "generate_topics=65"],
            "set-threads, generate_topics: the job requests 65 CPUs, but partition gpu has at most "
            "64",
        ),
    ],
    ids=["account", "partition", "gpus", "memory", "time", "cpus"],
)
def test_a_request_that_no_node_meets(
    cluster: Cluster, project: Path, flags: list[str], message: str
) -> None:
    (project / TARGET).unlink()
    output = finish(start(project, TARGET, flags=tuple(flags)), status=1)
    assert f"profiles/slurm/config.yaml, {message}" in output
    assert "Traceback" not in output and "has been submitted" not in output


def test_a_partition_that_cancels_what_it_preempts(cluster: Cluster, project: Path) -> None:
    (project / TARGET).unlink()
    cluster.run("scontrol", "update", "PartitionName=gpu", "PreemptMode=CANCEL")
    try:
        output = finish(start(project, TARGET))
    finally:
        cluster.run("scontrol", "update", "PartitionName=gpu", "PreemptMode=REQUEUE")
    assert "Partition gpu cancels the jobs that it preempts" in output


def test_a_cluster_that_forgets_jobs_soon(cluster: Cluster, project: Path) -> None:
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
    assert "slurm-status-command: this cluster removes a job from the queue 30 s after" in output
