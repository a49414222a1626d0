"""Time to plan the paper's experiment, and to run a job that needs no model."""

import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from figures import Figure, Figures, at_most
from project_copy import PROGRAMS, environment, project_copy

from aligners.core.counts import write_filtered
from aligners.core.rows import Row, row_id, write_json, write_rows
from aligners.llms.shards import shard_of
from aligners.llms.usage import Usage

DRY_RUNS = 3
# Number of jobs of each generation.
SHARDS = [64, 640]
TABLE_JOBS = 5
TABLE_ROWS = 300


def measure() -> Figures:
    """Time dry runs of config/config.yaml, and programs that gather and write responses."""
    few, many = (time_dry_run(shards) for shards in SHARDS)
    with tempfile.TemporaryDirectory() as name:
        gather, write = table_jobs(Path(name))
        return {
            "64 shards, jobs": Figure(few.jobs),
            "64 shards, s": Figure(few.seconds, at_most(30)),
            "64 shards, MiB": Figure(few.mebibytes),
            "640 shards, jobs": Figure(many.jobs),
            "640 shards, s": Figure(many.seconds),
            "640 shards, MiB": Figure(many.mebibytes),
            "growth of time / growth of jobs": Figure(
                many.seconds / few.seconds * few.jobs / many.jobs, at_most(1)
            ),
            "gather_responses, s": Figure(time_program(gather), at_most(1)),
            "write_alpaca_eval, s": Figure(time_program(write), at_most(1)),
        }


@dataclass
class Plan:
    """The number of jobs of a dry run, its time and its memory."""

    jobs: int
    seconds: float
    mebibytes: float


def time_dry_run(shards: int) -> Plan:
    """Plan the paper's experiment several times; return the medians."""
    with project_copy() as project:
        (project / "shards.yaml").write_text(f"shards: {{pairs: {shards}, responses: {shards}}}\n")
        plans = [plan(project) for _ in range(DRY_RUNS)]
    return Plan(
        plans[0].jobs,
        median(each.seconds for each in plans),
        median(each.mebibytes for each in plans),
    )


def plan(project: Path) -> Plan:
    """Plan the experiment in the project once."""
    command = [str(PROGRAMS / "snakemake"), "--dry-run", "--quiet", "rules"]
    command += ["--configfile", "shards.yaml"]
    started = time.perf_counter()
    with (project / "plan.out").open("w+") as output:
        process = subprocess.Popen(
            command, cwd=project, env=environment(project), stdout=output, stderr=output
        )
        _, _, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        output.seek(0)
        total = re.search(r"^total\s+(\d+)", output.read(), re.MULTILINE)
    return Plan(int(total[1]) if total else 0, seconds, usage.ru_maxrss / 1024)


def table_jobs(directory: Path) -> tuple[list[str], list[str]]:
    """Write small files; return the command lines of two programs that read them."""
    inputs = [make_row(number) for number in range(TABLE_ROWS)]
    write_rows(directory / "inputs.jsonl", inputs)
    for shard in range(2):
        rows = ((row, None) for row in inputs if shard_of(row, 2) == shard)
        write_filtered(rows, directory / f"{shard}.jsonl")
        write_json(directory / f"{shard}.usage.json", Usage().summary())
    aligned = [{**row, "aligned_response": row["response"]} for row in inputs]
    write_filtered(((row, None) for row in aligned), directory / "aligned.jsonl")
    gather = f"gather_responses.py --inputs {directory}/inputs.jsonl"
    gather += f" --shards {directory}/0.jsonl {directory}/1.jsonl"
    gather += f" --output {directory}/gathered.jsonl"
    write = f"write_alpaca_eval.py --dataset benchmark --inputs {directory}/inputs.jsonl"
    write += f" --system ours --aligned {directory}/aligned.jsonl"
    write += f" --reference base --reference-answers {directory}/aligned.jsonl"
    write += f" --reference-field response --failed {directory}/aligned.dropped.jsonl"
    write += f" --rows 800 --seed 0 --model-outputs {directory}/model_outputs.json"
    write += f" --reference-outputs {directory}/reference_outputs.json"
    return gather.split(), write.split()


def make_row(number: int) -> Row:
    """Return a row that serves as an input and as a response."""
    question = f"What is the number after {number}?"
    return {"id": row_id(question), "question": question, "response": f"It is {number + 1}."}


def time_program(command: list[str]) -> float:
    """Return the median seconds of several runs of a program, from its start to its end."""
    program, *arguments = command
    seconds = []
    for _ in range(TABLE_JOBS):
        started = time.perf_counter()
        subprocess.run(
            [sys.executable, f"workflow/scripts/{program}", *arguments],
            stderr=subprocess.DEVNULL,
            check=True,
        )
        seconds.append(time.perf_counter() - started)
    return median(seconds)
