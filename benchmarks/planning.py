"""How long it takes to plan the paper's experiment, and to run a job that needs no model."""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from figures import Figure, Figures, at_most
from project_copy import PROGRAMS, environment, project_copy

from aligners.rows import Row, row_id, write_rows

DRY_RUNS = 3
TABLE_JOBS = 5
TABLE_ROWS = 300


def measure() -> Figures:
    """Time dry runs of config/config.yaml, and the programs that gather and write answers."""
    seconds, jobs = time_dry_runs()
    with tempfile.TemporaryDirectory() as name:
        gather, write = table_jobs(Path(name))
        return {
            "dry run of config/config.yaml, s": Figure(seconds, at_most(20)),
            "jobs planned": Figure(jobs),
            "gather_responses, s": Figure(time_program(gather), at_most(1)),
            "write_alpaca_eval, s": Figure(time_program(write), at_most(1)),
        }


def time_dry_runs() -> tuple[float, int]:
    """Return the median seconds of several dry runs, and how many jobs they plan."""
    seconds = []
    with project_copy() as project:
        for _ in range(DRY_RUNS):
            started = time.perf_counter()
            planned = subprocess.run(
                [str(PROGRAMS / "snakemake"), "--dry-run", "--quiet", "rules"],
                cwd=project,
                env=environment(project),
                capture_output=True,
                text=True,
                check=True,
            )
            seconds.append(time.perf_counter() - started)
    total = re.search(r"^total\s+(\d+)", planned.stdout + planned.stderr, re.MULTILINE)
    return median(seconds), int(total[1]) if total else 0


def table_jobs(directory: Path) -> tuple[list[str], list[str]]:
    """Write small files; return the command lines of two programs that read them."""
    inputs = [make_row(number) for number in range(TABLE_ROWS)]
    write_rows(directory / "inputs.jsonl", inputs)
    write_rows(directory / "0.jsonl", inputs[::2])
    write_rows(directory / "1.jsonl", inputs[1::2])
    write_rows(directory / "gathered.jsonl", inputs)
    gather = f"gather_responses.py --inputs {directory}/inputs.jsonl"
    gather += f" --shards {directory}/0.jsonl {directory}/1.jsonl"
    gather += f" --output {directory}/gathered.jsonl"
    write = f"write_alpaca_eval.py --dataset benchmark --inputs {directory}/inputs.jsonl"
    write += f" --system ours --aligned {directory}/gathered.jsonl"
    write += f" --reference base --reference-answers {directory}/gathered.jsonl"
    write += f" --rows 800 --seed 0 --model-outputs {directory}/model_outputs.json"
    write += f" --reference-outputs {directory}/reference_outputs.json"
    return gather.split(), write.split()


def make_row(number: int) -> Row:
    """Return a row that serves as an input and as an answer."""
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
