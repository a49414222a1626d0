"""Memory and time of the programs that pass rows through, one after another."""

import os
import random
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from figures import Figure, Figures, at_most

from aligners.core.counts import write_filtered
from aligners.core.rows import Row, row_id, write_json, write_rows
from aligners.llms.shards import shard_of
from aligners.llms.usage import Usage

SHARDS = 4
# Of a row as JSON.
BYTES = 340
# Different texts, so that the check of the language does not take most of the time.
TEXTS = 20_000
WORDS = [
    "the",
    "a",
    "my",
    "your",
    "old",
    "new",
    "city",
    "river",
    "friend",
    "teacher",
    "doctor",
    "garden",
    "kitchen",
    "window",
    "morning",
    "evening",
    "asks",
    "writes",
    "takes",
    "gives",
    "finds",
    "keeps",
    "wants",
    "should",
    "could",
    "would",
    "before",
    "after",
    "because",
    "while",
    "quickly",
    "slowly",
    "often",
    "never",
    "always",
    "carefully",
    "together",
    "alone",
    "again",
]
TARGET = at_most(600)


def measure(rows: int = 1_000_000) -> Figures:
    """Run each program on `rows` rows, and return its largest memory and its time."""
    with tempfile.TemporaryDirectory(prefix="aligners-benchmark-") as name:
        directory = Path(name)
        write_inputs(directory, rows)
        figures = {}
        for program, command in commands(directory).items():
            # In a new process, the children of which are this program only.
            with ProcessPoolExecutor(max_workers=1) as pool:
                measured = pool.submit(run, [f"workflow/scripts/{program}.py", *command]).result()
            figures[f"{program}, MiB"] = Figure(measured.mebibytes, TARGET)
            figures[f"{program}, s"] = Figure(measured.seconds)
        return figures


@dataclass(frozen=True)
class Measured:
    """The largest memory of a program, and its time."""

    mebibytes: float
    seconds: float


def run(command: list[str]) -> Measured:
    """Run a program, and measure it."""
    started = time.perf_counter()
    status = os.spawnv(os.P_WAIT, sys.executable, [sys.executable, *command])
    seconds = time.perf_counter() - started
    if status:
        raise RuntimeError(f"{command[0]} ended with status {status}")
    return Measured(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024, seconds)


def pairs(count: int) -> Iterator[Row]:
    """Yield pairs of BYTES bytes; the questions differ."""
    chooser = random.Random(0)
    texts = [" ".join(chooser.choices(WORDS, k=12)) for _ in range(TEXTS)]
    for number in range(count):
        question = f"Is {number} good?"
        row = {
            "id": row_id(question),
            "criterion": "ethical",
            "question": question,
            "response": f"{chooser.choice(texts)}.",
            "critique": "",
            "aligned_response": f"I think {chooser.choice(texts)}.",
            "similarity": 0.5,
        }
        row["critique"] = "x" * max(0, BYTES - len(str(row)))
        yield row


def write_inputs(directory: Path, count: int) -> None:
    """Write the files that the programs read."""
    write_rows(directory / "pairs.jsonl", pairs(count))
    write_rows(
        directory / "split.jsonl",
        (
            {"id": row["id"], "question": row["question"], "group": row["id"], "split": side(row)}
            for row in pairs(count)
        ),
    )
    for name in ("split", "pairs"):
        write_rows(directory / f"{name}.dropped.jsonl", [])
    for shard in range(SHARDS):
        part = ((row, None) for row in pairs(count) if shard_of(row, SHARDS) == shard)
        write_filtered(part, directory / f"{shard}.jsonl")
        write_json(directory / f"{shard}.usage.json", Usage().summary())


def side(row: Row) -> str:
    """Return the side of a pair."""
    return ("validation", "test", *["train"] * 8)[int(row["id"], 16) % 10]


def commands(directory: Path) -> dict[str, list[str]]:
    """Return the options of each program."""

    def sides(kind: str) -> str:
        names = ("train", "validation", "test")
        paths = " ".join(f"--{name} {directory}/{kind}/{name}.jsonl" for name in names)
        beside = f"--counts {directory}/{kind}/counts.json"
        return f"{paths} {beside} --dropped {directory}/{kind}/dropped.jsonl"

    shards = " ".join(f"{directory}/{shard}.jsonl" for shard in range(SHARDS))

    def file(name: str) -> str:
        return f"{directory}/{name}"

    common = f"--pairs {file('pairs.jsonl')} --split {file('split.jsonl')}"
    options = {
        "gather_pairs": f"--questions {file('pairs.jsonl')} --shards {shards}"
        f" --output {file('gathered.jsonl')}",
        "gather_responses": f"--inputs {file('pairs.jsonl')} --shards {shards}"
        f" --output {file('responses.jsonl')}",
        "filter_pairs": f"{common} --synthesis closed-world --output {file('filtered.jsonl')}",
        "build_aligner_set": f"{common} --identity-share 0.2 --rows 80000 --seed 0"
        f" --least-similarity {{}}"
        f" {sides('aligner')}",
        "build_inspector_set": f"--criterion ethical --similarity {file('pairs.jsonl')}"
        f" --split {file('split.jsonl')} --pairs 70000 --seed 0 {sides('inspector')}",
        "write_alpaca_eval": f"--dataset benchmark --inputs {file('pairs.jsonl')} --system ours"
        f" --aligned {file('pairs.jsonl')} --reference base"
        f" --reference-answers {file('pairs.jsonl')} --reference-field response"
        f" --failed {file('pairs.dropped.jsonl')} --rows 805 --seed 0"
        f" --model-outputs {file('ours.json')} --reference-outputs {file('base.json')}",
    }
    return {program: text.split() for program, text in options.items()}
