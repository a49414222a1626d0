"""Time and memory of the import of a large, compressed set of preferences, on one core."""

import gzip
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from figures import Figure, Figures, at_most
from project_copy import ROOT
from rows import TEXTS, WORDS

from aligners.core.rows import read_json
from aligners.core.tables import read_records

TABLE, RECIPE = "preferences.jsonl.gz", "config/imports/large.yaml"
# Words of a prompt and of a response, as in HH-RLHF: some 1.2 kB of JSON in a record.
PROMPT_WORDS, RESPONSE_WORDS = 30, 70


def measure(rows: int = 1_000_000) -> Figures:
    """Import `rows` preferences, and compare the time with that of reading the records alone."""
    with tempfile.TemporaryDirectory(prefix="aligners-benchmark-") as name:
        directory = Path(name)
        write_table(directory / TABLE, rows)
        (directory / RECIPE).parent.mkdir(parents=True)
        (directory / RECIPE).write_text(f"{{source: file, path: {TABLE}, kind: preferences}}\n")
        # In new processes, each of which has only one child.
        with ProcessPoolExecutor(max_workers=1) as pool:
            reading = pool.submit(read, directory).result()
        with ProcessPoolExecutor(max_workers=1) as pool:
            seconds, mebibytes = pool.submit(run, directory).result()
        counts = read_json(directory / "rows.counts.json")
    if counts["in"] != rows:
        raise RuntimeError(f"{counts['in']} of {rows} records were imported")
    return {
        "records": Figure(rows),
        "kept": Figure(counts["out"]),
        "s": Figure(seconds, at_most(180)),
        "MiB": Figure(mebibytes, at_most(600)),
        "time to that of reading": Figure(seconds / reading),
    }


def write_table(path: Path, rows: int) -> None:
    """Write preferences in trl's format; prompts differ, and responses recur."""
    chooser = random.Random(0)
    texts = [" ".join(chooser.choices(WORDS, k=RESPONSE_WORDS)) for _ in range(TEXTS)]
    with gzip.open(path, "wt", compresslevel=1, encoding="utf-8") as handle:
        for number in range(rows):
            prompt = f"{number} {' '.join(chooser.choices(WORDS, k=PROMPT_WORDS))}?"
            chosen, rejected = chooser.choice(texts), chooser.choice(texts)
            record = {"id": number, "prompt": prompt, "chosen": chosen, "rejected": rejected}
            handle.write(json.dumps(record) + "\n")


def read(directory: Path) -> float:
    """Return the seconds that it takes to read the records and to do nothing with them."""
    started = time.perf_counter()
    for _ in read_records(directory / TABLE):
        pass
    return time.perf_counter() - started


def run(directory: Path) -> tuple[float, float]:
    """Run the program on one core; return its seconds and its largest memory in MiB."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    program = ROOT / "workflow/scripts/import_data.py"
    command = [sys.executable, str(program), "--imported", "large", "--output", "rows.jsonl"]
    started = time.perf_counter()
    subprocess.run(command, cwd=directory, check=True)
    seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
