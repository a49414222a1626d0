"""The openai engine with its ledger: against the bare client, and with faults, kills and many rows.

The server is tests/support/faulty_server.py on this machine. The bare client is the SDK's with a
semaphore, its own two retries, and nothing else: no ledger and no limits.
"""

import asyncio
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import openai
import yaml
from figures import Figure, Figures, at_least, at_most
from project_copy import ROOT, environment, project_copy

sys.path.insert(0, str(ROOT / "tests/support"))
from faulty_server import answer_to

CONCURRENCY, LATENCY = 64, 0.1
FAULTY_SHARE, RETRY_AFTER, TIMEOUT = 0.3, 0.1, 1.0
KILLS = 20
MILLION, THOUSAND = 1_000_000, 1_000
ROUNDS = 3

# One job, like the workflow's programs: completes rows, and prints their number, time and memory.
JOB = """
import sys, time
from pathlib import Path
from aligners.llms import generator as generation
from aligners.core.completions import Completion, Decoding, Request

count, engine, output = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
if engine == "instant":
    def instant(requests, decoding):
        for request in requests:
            yield Completion(request.id, "Yes.", "stop")
    generation.load_engine = lambda recipe: instant

def request_for(number):
    return Request(f"{number:016x}", f"question {number}")

generator = generation.Generator("benchmark", output)
started = time.perf_counter()
done = sum(1 for _ in generator.complete(range(count), request_for, Decoding(20), "benchmark"))
seconds = time.perf_counter() - started
# Not ru_maxrss, which starts at the size of the parent process.
[peak] = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]
print(done, seconds, int(peak.split()[1]) / 1024)
"""


def measure(rows: int = 2000) -> Figures:
    """Complete `rows` requests in each setting."""
    with project_copy() as project:
        return {
            "rows": Figure(rows),
            **without_faults(project, rows),
            **with_faults(project, rows),
            **with_kills(project, rows),
            **with_a_million(project),
        }


@contextmanager
def server(project: Path, *options: str) -> Iterator[tuple[str, Path]]:
    """Run the server, write the recipe `benchmark` for it, and yield its endpoint and journal."""
    with tempfile.TemporaryDirectory() as directory:
        journal = Path(directory) / "journal"
        process = subprocess.Popen(
            [
                *(sys.executable, str(ROOT / "tests/support/faulty_server.py")),
                *("--latency", str(LATENCY), "--retry-after", str(RETRY_AFTER)),
                *("--journal", str(journal), *options),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin and process.stdout
        endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
        recipe = {
            "engine": "openai",
            "model": "m",
            "endpoint": endpoint,
            "concurrency": CONCURRENCY,
            "timeout_seconds": TIMEOUT,
        }
        (project / "config/llms/benchmark.yaml").write_text(yaml.safe_dump(recipe))
        yield endpoint, journal
        process.stdin.close()
        process.wait(60)


def job(project: Path, rows: int, engine: str, output: str) -> subprocess.Popen[str]:
    """Start a job."""
    return subprocess.Popen(
        [sys.executable, "-c", JOB, str(rows), engine, output],
        cwd=project,
        env={**environment(project), "PYTHONPATH": str(project / "workflow/scripts")},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, float, float]:
    """Wait for a job, and return its number of rows, its seconds and its memory in MiB."""
    out, _ = process.communicate()
    assert process.returncode == 0, "a job of the benchmark failed"
    done, seconds, memory = out.split()
    return int(done), float(seconds), float(memory)


def run_bare_client(endpoint: str, rows: int) -> tuple[float, int]:
    """Return the seconds of the bare client, and its number of completed rows."""

    async def ask(number: int, client: openai.AsyncOpenAI, slots: asyncio.Semaphore) -> bool:
        async with slots:
            try:
                reply = await client.completions.create(
                    model="m", prompt=f"question {number}", max_tokens=20, temperature=0.0
                )
            except (openai.OpenAIError, ValueError):  # json raises ValueError for half a reply.
                return False
            # For a reply of a wrong content type, the SDK returns the text.
            return bool(getattr(reply, "choices", None))

    async def ask_all() -> list[bool]:
        slots = asyncio.Semaphore(CONCURRENCY)
        async with openai.AsyncOpenAI(base_url=endpoint, api_key="none", timeout=TIMEOUT) as client:
            return await asyncio.gather(*(ask(number, client, slots) for number in range(rows)))

    started = time.perf_counter()
    answered = sum(asyncio.run(ask_all()))
    return time.perf_counter() - started, answered


def without_faults(project: Path, rows: int) -> Figures:
    """Compare the rates of both clients, alternating between them."""
    theirs, ours = [], []
    with server(project) as (endpoint, _):
        for number in range(ROUNDS):
            theirs.append(rows / run_bare_client(endpoint, rows)[0])
            done, seconds, _ = finish(
                job(project, rows, "openai", f"results/good/{number}/0.jsonl")
            )
            ours.append(done / seconds)
    ratios = [own / other for own, other in zip(ours, theirs, strict=True)]
    return {
        "no faults: bare client, rows/s": Figure(median(theirs)),
        "no faults: ours, rows/s": Figure(median(ours)),
        "no faults: ratio": Figure(median(ratios), at_least(0.9)),
    }


def with_faults(project: Path, rows: int) -> Figures:
    """Compare the rate under faults with the highest rate that the faults allow."""
    with server(project) as (endpoint, _):
        bare_seconds, _ = run_bare_client(endpoint, rows)
    with server(project, "--fault-share", str(FAULTY_SHARE)) as (_, journal):
        done, seconds, _ = finish(job(project, rows, "openai", "results/faulty/0.jsonl"))
        allowed = allowed_seconds(read_journal(journal), bare_seconds / rows)
    with server(project, "--fault-share", str(FAULTY_SHARE)) as (endpoint, _):
        theirs, answered = run_bare_client(endpoint, rows)
    return {
        "30% faults: rows without a completion": Figure(rows - done, at_most(0)),
        "30% faults: ours, rows/s": Figure(done / seconds),
        "30% faults: allowed, rows/s": Figure(rows / allowed),
        "30% faults: ratio": Figure(allowed / seconds, at_least(0.75)),
        "30% faults: bare client, rows/s": Figure(answered / theirs),
        "30% faults: bare client, rows lost": Figure(rows - answered),
    }


def read_journal(journal: Path) -> list[tuple[str, str, float]]:
    """Return (kind, prompt, time) of every reply."""
    lines = journal.read_text(encoding="utf-8").splitlines()
    return [tuple(json.loads(line)[:3]) for line in lines]


def allowed_seconds(replies: list[tuple[str, str, float]], seconds_per_reply: float) -> float:
    """Return the shortest possible time for the replies of a run.

    A reply takes as long as for the bare client without faults. A reply that never ends occupies
    its slot until the timeout. During a pause that the server asked for, nothing happens.
    """
    endless = sum(kind in ("hang", "slow_drip") for kind, _, _ in replies)
    paused, until = 0.0, 0.0
    for kind, _, moment in replies:
        if kind == "429_retry_after":
            paused += max(0.0, moment + RETRY_AFTER - max(until, moment))
            until = max(until, moment + RETRY_AFTER)
    return (len(replies) - endless) * seconds_per_reply + endless * TIMEOUT / CONCURRENCY + paused


def with_kills(project: Path, rows: int) -> Figures:
    """Kill the job many times, and count rows that are lost, doubled or requested twice."""
    ledger = project / "results/.working/results+killed/0.jsonl"
    moments = random.Random(0)
    asked_again = 0
    with server(project, "--fault-share", str(FAULTY_SHARE)) as (_, journal):
        for number in range(KILLS):
            written, seen = written_prompts(ledger), len(read_journal(journal))
            process = job(project, rows, "openai", "results/killed/0.jsonl")
            if number % 4:  # Every fourth job is killed while it starts.
                wait_until_longer(ledger)
            time.sleep(moments.uniform(0.0, 0.5))
            process.send_signal(signal.SIGKILL)
            process.wait()
            later = read_journal(journal)[seen:]
            asked_again += sum(prompt in written for _, prompt, _ in later)
        written, seen = written_prompts(ledger), len(read_journal(journal))
        done, _, _ = finish(job(project, rows, "openai", "results/killed/0.jsonl"))
        asked_again += sum(prompt in written for _, prompt, _ in read_journal(journal)[seen:])
    entries = [json.loads(line) for line in ledger.read_bytes().splitlines()[1:]]
    correct = {
        entry["id"]
        for entry in entries
        if entry["text"] == answer_to(f"question {int(entry['id'], 16)}")
    }
    return {
        "20 kills: rows written before the last start": Figure(len(written)),
        "20 kills: rows lost": Figure(rows - done, at_most(0)),
        "20 kills: rows with another row's text": Figure(rows - len(correct), at_most(0)),
        "20 kills: rows written twice": Figure(len(entries) - rows, at_most(0)),
        "20 kills: written rows requested again": Figure(asked_again, at_most(0)),
    }


def wait_until_longer(ledger: Path, timeout: float = 30.0) -> None:
    """Wait until a ledger has grown, or until the timeout."""
    size = ledger.stat().st_size if ledger.exists() else 0
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        if ledger.exists() and ledger.stat().st_size > size:
            return
        time.sleep(0.005)


def written_prompts(ledger: Path) -> set[str]:
    """Return the prompts with a complete line in the ledger."""
    lines = ledger.read_bytes().splitlines(keepends=True)[1:] if ledger.exists() else []
    ids = [json.loads(line)["id"] for line in lines if line.endswith(b"\n")]
    return {f"question {int(name, 16)}" for name in ids}


def with_a_million(project: Path) -> Figures:
    """Compare the memory of jobs with few and many requests; the engine replies at once."""
    memory: dict[int, Any] = {}
    for rows in (THOUSAND, MILLION):
        _, _, memory[rows] = finish(job(project, rows, "instant", f"results/{rows}/0.jsonl"))
    return {
        "1,000 requests, MiB": Figure(memory[THOUSAND]),
        "1,000,000 requests, MiB": Figure(memory[MILLION]),
        "difference, MiB": Figure(memory[MILLION] - memory[THOUSAND], at_most(200)),
    }
