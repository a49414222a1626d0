"""The server of squads with the demo's squad: overhead, throughput, faults, memory.

Needs the results of a demo. The models use one core.
"""

import asyncio
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import httpx2
import numpy as np
import psutil
from figures import Figure, Figures, at_least, at_most

from aligners.core.rows import read_rows, write_json

SQUAD = "squads/llama-closed-world/squad"
CORRECTED = "aligned/{}/closed-world-base/llama-closed-world/squad.jsonl"
DATASETS = ("synthetic_mixed", "closed_world_categories")
CLIENTS = 64
# Faults of the upstream, of which each stream that has one has another.
FAULTS = ("status", "closes", "resets", "garbage", "error")
FAULTY_SHARE = 0.3
KILLS = 20
STREAMS_PER_KILL = 50
# Of the memory, in equal distances.
MEASUREMENTS = 20
# In the first thousands of requests, memory grows with each new length of a batch.
FIRST_REQUESTS = 8000
STARTUP_SECONDS = 120
MEBIBYTE = 2**20
# Corrects a list with the same models in a process of its own, and prints the seconds of the second
# time: as in the server, the shapes of the batches are not new then.
LIST = """
import json, sys, time
from aligners import Squad
squad = Squad.load(sys.argv[1])
rows = json.loads(open(sys.argv[2]).read())
squad.correct_all(rows["questions"], rows["responses"])
started = time.perf_counter()
squad.correct_all(rows["questions"], rows["responses"])
print(time.perf_counter() - started)
"""


@dataclass(frozen=True)
class Row:
    """A question, its response, what the squad makes of it, and how many turns that takes."""

    question: str
    response: str
    correction: str
    turns: int

    @property
    def is_corrected(self) -> bool:
        """Whether the squad corrects the response."""
        return self.correction != self.response


def measure(rows: int = 20_000, results: Path | None = None) -> Figures:
    """Measure a server with the squad of a demo.

    Args:
        rows: requests over which the memory is compared.
        results: of a demo; by default, results/.
    """
    results = results or Path("results")
    known = load_rows(results)
    with tempfile.TemporaryDirectory(prefix="aligners-benchmark-") as name:
        directory = Path(name)
        write_json(directory / "responses.json", {row.question: row.response for row in known})
        environment = {"RESPONSES": str(directory / "responses.json"), "OMP_NUM_THREADS": "1"}
        with app("upstream", environment) as upstream:
            squad = results / SQUAD
            with (
                app("proxy", {**environment, "UPSTREAM": f"{upstream}/v1"}) as bare,
                server(squad, upstream, environment) as (url, process),
            ):
                figures = asyncio.run(overhead(url, bare, known))
                figures |= throughput(url, squad, known, directory)
                figures |= asyncio.run(streams_with_faults(url, process, known))
            with server(squad, upstream, environment) as (url, process):
                figures |= asyncio.run(memory(url, process, known, rows))
    return figures


def load_rows(results: Path) -> list[Row]:
    """Return the responses of the demo's LLM, one for each question."""
    rows = {
        row["question"]: Row(
            row["question"], row["response"], row["aligned_response"], len(row["trace"])
        )
        for name in DATASETS
        for row in read_rows(results / CORRECTED.format(name))
    }
    return list(rows.values())


@contextmanager
def app(name: str, environment: dict[str, str]) -> Iterator[str]:
    """Run an app of serving_apps.py in a process of its own; yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "critical"]
    with running([*command, f"serving_apps:{name}"], environment, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def server(
    squad: Path, upstream: str, environment: dict[str, str]
) -> Iterator[tuple[str, psutil.Process]]:
    """Run the server until the end of the block, when its models are loaded."""
    port = free_port()
    program = "from aligners.cli.main import main; main()"
    options = ["--squad", str(squad), "--upstream", f"{upstream}/v1", "--port", str(port)]
    command = [sys.executable, "-c", program, "serve", *options, "--max-queue", "1000"]
    with running(command, environment, port) as process:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url)
        yield url, psutil.Process(process.pid)


@contextmanager
def running(
    command: Sequence[str], environment: dict[str, str], port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process that listens on a port, and end it at the end of the block."""
    here = str(Path(__file__).parent)
    paths = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment, "PYTHONPATH": paths},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_port(port)
        yield process
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    """Return a free port of 127.0.0.1."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for_port(port: int) -> None:
    """Wait until a process listens on a port."""
    end = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise RuntimeError(f"nothing listens on port {port}")


def wait_until_ready(url: str) -> None:
    """Wait until the models of a server are loaded."""
    end = time.monotonic() + STARTUP_SECONDS
    while time.monotonic() < end:
        if httpx2.get(f"{url}/ready", trust_env=False).status_code == 200:
            return
        time.sleep(0.2)
    raise RuntimeError("the models are not loaded")


def body_of(row: Row, **fields: Any) -> dict[str, Any]:
    """Return the body of a request."""
    return {"model": "m", "messages": [{"role": "user", "content": row.question}], **fields}


async def ask(client: httpx2.AsyncClient, url: str, row: Row) -> httpx2.Response:
    """Ask for a whole answer."""
    return await client.post(f"{url}/v1/chat/completions", json=body_of(row))


def client_of_all() -> httpx2.AsyncClient:
    """Return a client for all requests at once."""
    limits = httpx2.Limits(max_connections=CLIENTS, max_keepalive_connections=CLIENTS)
    return httpx2.AsyncClient(timeout=300, limits=limits, trust_env=False)


async def overhead(url: str, bare: str, known: Sequence[Row], count: int = 1000) -> Figures:
    """Compare requests that no aligner touches, in turns with those to a bare proxy."""
    untouched = [row for row in known if not row.turns]
    seconds: dict[str, list[float]] = {url: [], bare: []}
    async with client_of_all() as client:
        for number in range(count):
            row = untouched[number % len(untouched)]
            for target in (bare, url):
                started = time.perf_counter()
                reply = await ask(client, target, row)
                seconds[target].append(1000 * (time.perf_counter() - started))
                if reply.json()["choices"][0]["message"]["content"] != row.response:
                    raise RuntimeError(f"{row.question}: changed to {reply.text}")
    ours, theirs = (np.percentile(seconds[target], (50, 95)) for target in (url, bare))
    return {
        "requests that no aligner touches": Figure(count),
        "bare proxy, p50 ms": Figure(float(theirs[0])),
        "bare proxy, p95 ms": Figure(float(theirs[1])),
        "overhead, p50 ms": Figure(float(ours[0] - theirs[0]), at_most(15)),
        "overhead, p95 ms": Figure(float(ours[1] - theirs[1]), at_most(40)),
    }


def throughput(
    url: str, squad: Path, known: Sequence[Row], directory: Path, rounds: int = 3
) -> Figures:
    """Compare 64 clients, half of whose responses are corrected, with a list of the same rows.

    No row comes twice, because equal rows of a list are scored once. The list and the clients have
    turns, because the speed of a machine can change.
    """
    halves = [[row for row in known if row.is_corrected is wanted] for wanted in (True, False)]
    rows = [row for pair in zip(*halves, strict=False) for row in pair]
    path = directory / "rows.json"
    write_json(
        path,
        {
            "questions": [row.question for row in rows],
            "responses": [row.response for row in rows],
        },
    )
    command = [sys.executable, "-c", LIST, str(squad), str(path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    asyncio.run(ask_all(url, rows))
    listed = served = 0.0
    for _ in range(rounds):
        listed += float(subprocess.check_output(command, env=environment))
        served += asyncio.run(ask_all(url, rows))
    count = rounds * len(rows)
    return {
        "rows, half of them corrected": Figure(len(rows)),
        "list, rows/s": Figure(count / listed),
        "64 clients, rows/s": Figure(count / served),
        "64 clients to list": Figure(listed / served, at_least(0.8)),
    }


async def ask_all(url: str, rows: Sequence[Row]) -> float:
    """Return the seconds in which CLIENTS clients get all answers, which must be right.

    The clients send bytes: a client of a library takes as much of the processor as the server.
    """
    waiting, port = iter(rows), int(url.rpartition(":")[2])

    async def work() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for row in waiting:
            answer = await send(reader, writer, body_of(row))
            text = answer["choices"][0]["message"]["content"]
            if text != row.correction:
                raise RuntimeError(f"{row.question}: {text!r}, not {row.correction!r}")
        writer.close()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(CLIENTS)))
    return time.perf_counter() - started


async def send(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, body: dict[str, Any]
) -> Any:
    """Send a request on an open connection, and return the object of its answer."""
    content = json.dumps(body).encode()
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\n"
    writer.write(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    headers = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"content-length: (\d+)", headers, re.IGNORECASE)
    if not headers.startswith(b"HTTP/1.1 200") or found is None:
        raise RuntimeError(headers.decode())
    return json.loads(await reader.readexactly(int(found[1])))


async def streams_with_faults(url: str, process: psutil.Process, known: Sequence[Row]) -> Figures:
    """Ask for streams while the upstream has faults and the process with the models is killed.

    In each round, the process is killed after a fifth of its streams. Half of the requests refuse
    an answer that was not examined.
    """
    chooser = random.Random(0)
    outcomes: Counter[str] = Counter()
    async with client_of_all() as client:
        for _ in range(KILLS):
            rows = chooser.choices(known, k=STREAMS_PER_KILL)
            first = STREAMS_PER_KILL // 5
            streams = [one_stream(client, url, row, chooser) for row in rows]
            outcomes.update(await asyncio.gather(*streams[:first]))
            rest = asyncio.gather(*streams[first:])
            await asyncio.sleep(0.05)
            for child in process.children():
                child.send_signal(signal.SIGKILL)
            outcomes.update(await rest)
            await asyncio.to_thread(wait_until_ready, url)
    return {
        "streams": Figure(KILLS * STREAMS_PER_KILL),
        "kills of the process with the models": Figure(KILLS),
        **{f"streams: {name}": Figure(outcomes[name]) for name in sorted(outcomes)},
        "streams with a wrong text": Figure(outcomes["wrong text"], at_most(0)),
        "streams with an error without a reason": Figure(
            outcomes["error without a reason"], at_most(0)
        ),
    }


async def one_stream(client: httpx2.AsyncClient, url: str, row: Row, chooser: random.Random) -> str:
    """Ask for a stream, and return what came of it."""
    fault = chooser.choice(FAULTS) if chooser.random() < FAULTY_SHARE else None
    refuses = chooser.random() < 0.5
    headers = {"x-aligners-on-error": "refuse"} if refuses else {}
    body = body_of(row, stream=True, **({"fault": fault} if fault else {}))
    target = f"{url}/v1/chat/completions"
    async with client.stream("POST", target, json=body, headers=headers) as reply:
        if reply.status_code != 200:
            await reply.aread()
            return error_of(fault, refuses)
        return outcome(row, fault, refuses, [json_of async for json_of in events(reply)])


async def events(reply: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    """Yield the objects of a stream."""
    async for line in reply.aiter_lines():
        if line.startswith("data: ") and line != "data: [DONE]":
            yield json.loads(line.removeprefix("data: "))


def error_of(fault: str | None, refuses: bool) -> str:
    """Return whether the upstream, or the wish of a request, is the reason of an error."""
    if fault is not None:
        return "error of the upstream"
    return "refused, as the request asks" if refuses else "error without a reason"


def outcome(row: Row, fault: str | None, refuses: bool, chunks: list[dict[str, Any]]) -> str:
    """Return what came of a stream."""
    choices = [choice for chunk in chunks for choice in chunk.get("choices", ())]
    text = "".join(choice["delta"].get("content") or "" for choice in choices)
    if any("error" in chunk for chunk in chunks):
        return "wrong text" if text else error_of(fault, refuses)
    action = next((each["aligners"]["action"] for each in chunks if "aligners" in each), None)
    if fault is None and text == row.correction and action in ("corrected", "unchanged", "skipped"):
        return "right text"
    if fault is None and text == row.response and action == "failed" and not refuses:
        return "response unchanged, and told"
    return "wrong text"


async def memory(url: str, process: psutil.Process, known: Sequence[Row], rows: int) -> Figures:
    """Compare the memory of all processes at the beginning and at the end of many requests.

    The memory goes up and down by 50 MiB with what is in work, so medians are compared.
    """
    chooser = random.Random(0)
    await ask_all(url, chooser.choices(known, k=FIRST_REQUESTS))
    seconds, measured = 0.0, []
    for _ in range(MEASUREMENTS):
        seconds += await ask_all(url, chooser.choices(known, k=rows // MEASUREMENTS))
        measured.append(resident(process))
    quarter = MEASUREMENTS // 4
    before, after = median(measured[:quarter]), median(measured[-quarter:])
    return {
        "requests after the first 8,000": Figure(rows),
        "requests/s": Figure(rows / seconds),
        "MiB in the first quarter": Figure(before),
        "MiB more in the last quarter": Figure(after - before, at_most(32)),
    }


def resident(process: psutil.Process) -> float:
    """Return the memory of a process and its children in MiB."""
    processes = [process, *process.children(recursive=True)]
    return sum(each.memory_info().rss for each in processes) / MEBIBYTE
