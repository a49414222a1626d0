"""A server with OpenAI's API that sends faulty replies, for tests and benchmarks.

To try it by hand: python tests/support/faulty_server.py --port 8000

It replies to every prompt with `answer_to(prompt)` after a latency. A share of the replies have a
fault. It listens only on 127.0.0.1, prints its port, and runs until its standard input ends. Then
it prints the number of replies of each kind and the most requests in progress at once, as JSON.
"""

import asyncio
import json
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import tyro

FAULTS = (
    "429_retry_after",
    "429",
    "500",
    "reset",
    "hang",
    "truncated_json",
    "short_body",
    "empty_choices",
    "wrong_type",
    "slow_drip",
    "duplicate_choice",
    "duplicate_reply",
)
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many"}
CONTEXT = 20_000


def answer_to(prompt: str) -> str:
    """Return the completion of a prompt."""
    return f"“{prompt[::-1]}” – 你好"


def response(status: int, body: bytes, **headers: str) -> bytes:
    """Return an HTTP response."""
    fields = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def error(status: int, message: str, code: str = "", **headers: str) -> bytes:
    """Return an HTTP response with an error in the format of OpenAI's API."""
    return response(
        status, json.dumps({"error": {"message": message, "code": code}}).encode(), **headers
    )


class FaultyServer:
    """The server and the record of its replies."""

    def __init__(
        self,
        latency: float,
        fault_share: float,
        faults: tuple[str, ...],
        seed: int,
        retry_after: float,
        model: str,
        key: str,
        journal: Path | None,
    ):
        self.latency, self.fault_share, self.faults = latency, fault_share, faults
        self.retry_after, self.model, self.key = retry_after, model, key
        self.random = random.Random(seed)
        self.journal = journal.open("a") if journal else None
        self.counts: Counter[str] = Counter()
        self.in_progress = self.most_in_progress = 0

    def record(self, kind: str, prompt: str) -> None:
        """Count a reply, and write its kind, its prompt and the time to the journal."""
        self.counts[kind] += 1
        if self.journal:
            self.journal.write(json.dumps([kind, prompt, time.time()]) + "\n")
            self.journal.flush()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reply to the requests of one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(
                    line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
                )
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                self.in_progress += 1
                self.most_in_progress = max(self.most_in_progress, self.in_progress)
                try:
                    await self.reply(head, fields, body, writer)
                finally:
                    self.in_progress -= 1
                await writer.drain()
        writer.transport.abort()

    async def reply(
        self, head: str, fields: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        """Reply to one request, with a fault or without."""
        if not head.startswith("POST"):
            writer.write(response(200, b"{}"))
            return
        request: dict[str, Any] = json.loads(body)
        prompt = request.get("prompt") or request["messages"][-1]["content"]
        if self.key and fields.get("authorization") != f"bearer {self.key}".lower():
            writer.write(error(401, f"Incorrect API key provided: {fields.get('authorization')}"))
            return
        if self.model and request["model"] != self.model:
            writer.write(error(404, f"The model {request['model']} does not exist"))
            return
        if len(prompt) > CONTEXT:
            writer.write(error(400, "This model's maximum context length is exceeded"))
            return
        if "forbidden" in prompt:
            writer.write(error(400, "The prompt is not allowed"))
            return
        is_faulty = self.random.random() < self.fault_share
        kind = self.random.choice(self.faults) if is_faulty else "good"
        if kind not in ("429", "429_retry_after", "reset"):
            await asyncio.sleep(self.latency)
        self.record(kind, prompt)
        await self.send(kind, good_reply(prompt, chat="messages" in request), writer)

    async def send(self, kind: str, reply: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Send a reply of a kind: "good" or a fault."""
        if kind == "reset":
            writer.transport.abort()
        elif kind == "hang":
            await asyncio.Event().wait()
        elif kind == "slow_drip":
            for byte in response(200, json.dumps(reply).encode()):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.5)
        else:
            writer.write(self.content(kind, reply))
        if kind == "short_body":
            await writer.drain()
            writer.close()

    def content(self, kind: str, reply: dict[str, Any]) -> bytes:
        """Return the bytes of a reply of a kind that is sent at once."""
        body = json.dumps(reply).encode()
        match kind:
            case "429_retry_after":
                return error(429, "Slow down", retry_after=str(self.retry_after))
            case "429":
                return error(429, "Slow down")
            case "500":
                return error(500, "Internal error")
            case "truncated_json":
                return response(200, body[: len(body) // 2])
            case "short_body":
                return response(200, body)[:-10]
            case "empty_choices":
                return response(200, b'{"choices": []}')
            case "wrong_type":
                return response(200, b"<html>Busy</html>", content_type="text/html")
            case "duplicate_choice":
                twice = {**reply, "choices": 2 * reply["choices"]}
                return response(200, json.dumps(twice).encode())
            case "duplicate_reply":
                return 2 * response(200, body)
        return response(200, body)


def good_reply(prompt: str, chat: bool) -> dict[str, Any]:
    """Return the good reply to a prompt, of the API for chats or for texts."""
    text = answer_to(prompt)
    choice = {"message": {"content": text}} if chat else {"text": text}
    return {
        "choices": [{"index": 0, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())},
    }


async def run(server: FaultyServer, port: int) -> None:
    """Serve until the standard input ends, then print the counts."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", port, backlog=1024)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    counts = {"replies": server.counts, "most_in_progress": server.most_in_progress}
    print(json.dumps(counts), flush=True)


def main(
    *,
    latency: float = 0.0,
    fault_share: float = 0.0,
    faults: tuple[str, ...] = FAULTS,
    seed: int = 0,
    retry_after: float = 0.1,
    model: str = "",
    key: str = "",
    journal: Path | None = None,
    port: int = 0,
) -> None:
    """Serve until the standard input ends.

    Args:
        port: port on 127.0.0.1; 0 for any free port.
        latency: seconds until a reply.
        fault_share: share of the replies with a fault.
        faults: kinds of faults, equally likely.
        seed: seed of the faults.
        retry_after: seconds to wait that a 429 gives.
        model: the only model that is served; empty for any.
        key: the only API key that is accepted; empty for any.
        journal: file with a line per reply: its kind, its prompt and the time.
    """
    server = FaultyServer(latency, fault_share, faults, seed, retry_after, model, key, journal)
    asyncio.run(run(server, port))


if __name__ == "__main__":
    tyro.cli(main)
