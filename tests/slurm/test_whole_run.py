"""The closed world in miniature, from topics to verdicts, on a real cluster."""

import csv
import json
import subprocess
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import pytest
from cluster import Cluster

# The GPUs of each rule in the profile. All other rules run without the queue.
GPUS = {
    "generate_topics": 2,
    "generate_questions": 2,
    "generate_pairs": 2,
    "score_similarity": 1,
    "embed_questions": 1,
    "train_inspector": 1,
    "train_aligner": 1,
    "generate_responses": 1,
    "assemble_squad": 1,
    "apply_aligner": 1,
    "apply_squad": 1,
    "apply_external": 1,
    "judge_comparisons": 1,
}
GPUS_OF_A_NODE = 2
# Longest time between the end of a job and the start of the next, including rounding.
SECONDS_BETWEEN_JOBS = 6


def job_records(cluster: Cluster, project: Path) -> list[dict[str, str]]:
    """Return sacct's records of the jobs of a project."""
    fields = "JobID,JobName,Comment,State,AllocTRES,NodeList,Submit,Start,End,WorkDir"
    command = ["sacct", "--allocations", "--parsable2", "--starttime=now-2hours"]
    rows = csv.DictReader(
        cluster.output(*command, f"--format={fields}").splitlines(), delimiter="|"
    )
    return [row for row in rows if row["WorkDir"] == str(project)]


def rule_of(job: dict[str, str]) -> str:
    """Return the rule of a job, from its comment."""
    return job["Comment"].removeprefix("rule_").split("_wildcards_")[0]


def gpus_of(job: dict[str, str]) -> int:
    """Return the number of GPUs that a job had."""
    resources = dict(item.split("=") for item in job["AllocTRES"].split(","))
    return int(resources.get("gres/gpu", 0))


@pytest.fixture(scope="module")
def jobs(cluster: Cluster, whole_run: Path) -> list[dict[str, str]]:
    return job_records(cluster, whole_run)


def test_the_files_are_complete(whole_run: Path) -> None:
    listing = whole_run / "results/alpaca_eval/all"
    subprocess.run(["sha256sum", "--check", "--quiet", listing], cwd=whole_run, check=True)
    paths = [line.split()[1] for line in listing.read_text().splitlines()]
    assert len(paths) == 48
    for path in paths:
        rows = json.loads((whole_run / path).read_text())
        assert len(rows) > 5 and all(row["output"].strip() for row in rows), path


def test_jobs_get_the_gpus_that_the_profile_sets(
    jobs: list[dict[str, str]],
) -> None:
    assert {rule_of(job) for job in jobs} == set(GPUS)  # No other rule was queued.
    assert {job["State"] for job in jobs} == {"COMPLETED"}
    for job in jobs:
        assert gpus_of(job) == GPUS[rule_of(job)], job
        assert job["NodeList"] in ("n1", "n2"), job
        assert job["JobName"].startswith("aligners_"), job


def test_no_gpu_is_idle_while_a_fitting_job_waits(jobs: list[dict[str, str]]) -> None:
    times = {
        job["JobID"]: [datetime.fromisoformat(job[key]) for key in ("Submit", "Start", "End")]
        for job in jobs
    }
    events = sorted({moment for each in times.values() for moment in each})
    for begin, end in pairwise(events):
        if (end - begin).total_seconds() <= SECONDS_BETWEEN_JOBS:
            continue
        busy = {"n1": 0, "n2": 0}
        waiting = []
        for job in jobs:
            submitted, started, ended = times[job["JobID"]]
            if started <= begin and ended >= end:
                busy[job["NodeList"]] += gpus_of(job)
            elif submitted <= begin and started >= end:
                waiting.append(job)
        free = max(GPUS_OF_A_NODE - count for count in busy.values())
        assert not any(gpus_of(job) <= free for job in waiting), (begin, end, busy, waiting)


def test_finished_jobs_keep_their_log_but_not_their_slurm_log(whole_run: Path) -> None:
    assert (whole_run / "logs/train_aligner/gpt2-miniature/ethical.log").stat().st_size > 0
    assert not list((whole_run / "logs").glob("slurm/**/*.log"))
