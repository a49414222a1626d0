"""A server that speaks OpenAI's API badly, for tests and benchmarks.

To try it by hand: python tests/support/faulty_server.py --port 8000

It answers every prompt by `answer_to(prompt)`, after a latency, and spoils a share of its replies.
It prints its port, listens on 127.0.0.1 alone, and ends with its standard input.
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
    """Return what the server answers to a prompt."""
    return f"“{prompt[::-1]}” – 你好"


def response(status: int, body: bytes, **headers: str) -> bytes:
    """Return an HTTP response."""
    fields = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def error(status: int, message: str, code: str = "", **headers: str) -> bytes:
    """Return an error as OpenAI's API gives it."""
    return response(
        status, json.dumps({"error": {"message": message, "code": code}}).encode(), **headers
    )


class FaultyServer:
    """What the server does with a request, and what it did."""

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

    def note(self, what: str, prompt: str) -> None:
        """Write to the journal when which prompt got which reply."""
        self.counts[what] += 1
        if self.journal:
            self.journal.write(json.dumps([what, prompt, time.time()]) + "\n")
            self.journal.flush()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(
                    line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
                )
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                await self.reply(head, fields, body, writer)
                await writer.drain()
        writer.transport.abort()

    async def reply(
        self, head: str, fields: dict[str, str], body: bytes, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one request, or spoil the answer."""
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
        spoilt = self.random.random() < self.fault_share
        fault = self.random.choice(self.faults) if spoilt else "good"
        if fault not in ("429", "429_retry_after", "reset"):
            await asyncio.sleep(self.latency)
        self.note(fault, prompt)
        await self.send(fault, request, prompt, writer)

    async def send(
        self, fault: str, request: dict[str, Any], prompt: str, writer: asyncio.StreamWriter
    ) -> None:
        """Write a good reply, or one with a fault."""
        chat = "messages" in request
        text = answer_to(prompt)
        choice = {"message": {"content": text}} if chat else {"text": text}
        reply = {
            "choices": [{"index": 0, "finish_reason": "stop", **choice}],
            "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())},
        }
        body = json.dumps(reply).encode()
        if fault == "429_retry_after":
            writer.write(error(429, "Slow down", retry_after=str(self.retry_after)))
        elif fault == "429":
            writer.write(error(429, "Slow down"))
        elif fault == "500":
            writer.write(error(500, "Internal error"))
        elif fault == "reset":
            writer.transport.abort()
        elif fault == "hang":
            await asyncio.Event().wait()
        elif fault == "truncated_json":
            writer.write(response(200, body[: len(body) // 2]))
        elif fault == "short_body":
            writer.write(response(200, body)[:-10])
            await writer.drain()
            writer.close()
        elif fault == "empty_choices":
            writer.write(response(200, b'{"choices": []}'))
        elif fault == "wrong_type":
            writer.write(response(200, b"<html>Busy</html>", content_type="text/html"))
        elif fault == "slow_drip":
            for byte in response(200, body):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.5)
        elif fault == "duplicate_choice":
            writer.write(
                response(200, json.dumps({**reply, "choices": 2 * reply["choices"]}).encode())
            )
        elif fault == "duplicate_reply":
            writer.write(2 * response(200, body))
        else:
            writer.write(response(200, body))


async def run(server: FaultyServer, port: int) -> None:
    """Serve until the standard input ends, then print what was replied."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", port, backlog=1024)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps(server.counts), flush=True)


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
    """Serve.

    Args:
        port: where to listen; 0 is any that is free.
        latency: seconds until a reply.
        fault_share: share of the replies that are spoilt.
        faults: kinds of faults, equally likely.
        seed: of the faults.
        retry_after: seconds that a 429 asks to wait.
        model: the one model that is known; empty for any.
        key: the one key that is accepted; empty for any.
        journal: file for a line per request: the kind of the reply, and the prompt.
    """
    server = FaultyServer(latency, fault_share, faults, seed, retry_after, model, key, journal)
    asyncio.run(run(server, port))


if __name__ == "__main__":
    tyro.cli(main)
