"""An LLM's API whose answer is the last message of the user, with faults that the message names.

The question `say: TEXT` is answered with TEXT; any other with itself. Words in the system message,
such as `fault=closes`, let the answer fail.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from running_apps import run_app
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

WORDS = 3
ID = "chatcmpl-upstream-1"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
TOOL_CALL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city": "bad"}'},
}


@dataclass
class Record:
    """What the upstream got and saw."""

    bodies: list[bytes] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    cancelled: int = 0
    begun: int = 0


def answer_text(body: dict[str, Any]) -> str:
    """Return the text of the answer."""
    users = [message for message in body["messages"] if message["role"] == "user"]
    content = (users or body["messages"])[-1]["content"]
    if isinstance(content, list):
        content = " ".join(part.get("text", "") for part in content)
    return content.removeprefix("say: ")


def fault_of(body: dict[str, Any]) -> str:
    """Return the fault that the first message asks for; empty for none."""
    content = body["messages"][0].get("content")
    if isinstance(content, str) and "fault=" in content:
        return content.partition("fault=")[2].split()[0]
    return ""


def messages_of(body: dict[str, Any], text: str) -> list[dict[str, Any]]:
    """Return the messages of all choices."""
    fault = fault_of(body)
    if fault == "tool" or (body.get("tools") and "bad" not in text):
        return [{"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]}]
    if fault == "function_call":
        call = {"name": "weather", "arguments": "{}"}
        return [{"role": "assistant", "content": None, "function_call": call}]
    if fault == "refusal":
        return [{"role": "assistant", "content": None, "refusal": "I refuse, which is bad."}]
    if fault == "audio":
        return [{"role": "assistant", "content": "bad", "audio": {"id": "a", "data": ""}}]
    if fault == "thinking":
        return [{"role": "assistant", "content": text, "reasoning_content": "a bad thought"}]
    if fault == "parts":
        parts = [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": text}]
        return [{"role": "assistant", "content": parts}]
    count = body.get("n") or 1
    texts = [text, *(f"{text} number {index}" for index in range(1, count))]
    return [{"role": "assistant", "content": each, "refusal": None} for each in texts]


def finish_of(body: dict[str, Any], message: dict[str, Any]) -> str:
    fault = fault_of(body)
    if fault in ("length", "content_filter"):
        return fault
    return "tool_calls" if message.get("tool_calls") else "stop"


def whole(body: dict[str, Any]) -> dict[str, Any]:
    """Return a whole chat completion."""
    choices = [
        {
            "index": index,
            "message": message,
            "logprobs": {"content": []} if body.get("logprobs") else None,
            "finish_reason": finish_of(body, message),
        }
        for index, message in enumerate(messages_of(body, answer_text(body)))
    ]
    return {
        "id": ID,
        "object": "chat.completion",
        "created": 1,
        "model": body.get("model"),
        "choices": choices,
        "usage": USAGE,
        "system_fingerprint": "fp_1",
    }


def chunks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the chunks of a stream."""
    base = {"id": ID, "object": "chat.completion.chunk", "created": 1, "model": body.get("model")}
    messages = messages_of(body, answer_text(body))

    def chunk(index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {**base, "choices": [choice]}

    for index, message in enumerate(messages):
        yield chunk(index, {"role": "assistant", "content": "" if message["content"] else None})
        if thought := message.get("reasoning_content"):
            yield chunk(index, {"reasoning_content": thought})
    for index, message in enumerate(messages):
        for name in ("tool_calls", "function_call", "refusal", "audio"):
            if message.get(name):
                yield chunk(index, {name: message[name]})
        words = (message["content"] or "").split(" ") if message["content"] else []
        for first in range(0, len(words), WORDS):
            piece = " ".join(words[first : first + WORDS])
            yield chunk(index, {"content": piece if first == 0 else f" {piece}"})
        yield chunk(index, {}, finish_of(body, message))
    if (body.get("stream_options") or {}).get("include_usage"):
        yield {**base, "choices": [], "usage": USAGE}


class Upstream:
    """The app and the record of what it got."""

    def __init__(self, delay: float = 0.0):
        self.record, self.delay = Record(), delay
        self.app = Starlette(
            routes=[
                Route("/v1/chat/completions", self.complete, methods=["POST"]),
                Route("/v1/models", self.models),
                Route("/v1/embeddings", self.embed, methods=["POST"]),
                Route("/{path:path}", self.find_nothing),
            ]
        )

    async def models(self, request: Request) -> Response:
        self.record.headers.append(dict(request.headers))
        return JSONResponse({"object": "list", "data": [{"id": "tiny", "object": "model"}]})

    async def embed(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [], "got": await request.json()})

    async def find_nothing(self, request: Request) -> Response:
        self.record.paths.append(request.scope["raw_path"].decode())
        self.record.urls.append(str(request.url))
        return JSONResponse({"error": {"message": "nothing there"}}, 404)

    async def complete(self, request: Request) -> Response:
        raw = await request.body()
        self.record.bodies.append(raw)
        self.record.headers.append(dict(request.headers))
        self.record.urls.append(str(request.url))
        self.record.begun += 1
        body = json.loads(raw)
        fault = fault_of(body)
        if self.delay:
            await asyncio.sleep(self.delay)
        if early := early_fault(fault):
            return early
        if fault == "slow":
            await self.wait(request)
        if not body.get("stream"):
            if fault == "closes":
                return Response(b'{"id": "half', headers={"content-length": "1000"})
            content = json.dumps(whole(body), separators=(",", ":"))
            headers = {"x-request-id": "up-1", "x-aligners-id": "x"}
            response = Response(content, headers=headers, media_type="application/json")
            # Only on request: LiteLLM's client can read headers of ASCII characters only.
            if name := request.headers.get("x-user"):
                response.raw_headers.append((b"x-name", name.encode("latin-1")))
            return response
        return StreamingResponse(
            self.stream(body, fault, request),
            media_type="text/event-stream",
            headers={"x-request-id": "up-1"},
        )

    async def wait(self, request: Request) -> None:
        """Wait until the client leaves."""
        while not await request.is_disconnected():
            await asyncio.sleep(0.02)
        self.record.cancelled += 1

    async def stream(
        self, body: dict[str, Any], fault: str, request: Request
    ) -> AsyncIterator[bytes]:
        """Yield the events of a stream, with faults in its middle."""
        made = list(chunks(body))
        middle = len(made) // 2
        for number, chunk in enumerate(made):
            if number == middle:
                if fault == "closes":
                    return
                if fault == "resets":
                    raise ConnectionResetError
                if fault == "garbage":
                    yield b"data: {this is no json\n\n"
                if fault == "error_event":
                    error = {"message": "the GPU fell off", "type": "server_error", "code": 503}
                    yield b"data: " + json.dumps({"error": error}).encode() + b"\n\n"
                    return
                if fault == "hangs":
                    await self.wait(request)
                if fault == "pauses":
                    await asyncio.sleep(0.6)
            yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
            await asyncio.sleep(0)
        yield b": a comment of the upstream\n\ndata: [DONE]\n\n"
        if fault == "resets_after_end":
            raise ConnectionResetError


def early_fault(fault: str) -> Response | None:
    """Return an answer that is no completion; None if the fault is another."""
    error = {"message": "the upstream says no", "type": "some_error", "param": None, "code": "no"}
    match fault:
        case "401" | "429" | "500" | "503":
            return JSONResponse({"error": error}, int(fault), {"retry-after": "7"})
        case "html":
            return Response(b"<html>Busy</html>", media_type="text/html")
        case "no_choices":
            return JSONResponse({"id": ID, "object": "chat.completion"})
        case "empty_choices":
            return JSONResponse({"id": ID, "choices": []})
        case "error_200":
            return JSONResponse({"error": error})
        case "redirect":
            return Response(status_code=302, headers={"location": "http://127.0.0.1:9/"})
        case "list":
            return JSONResponse([1, 2])
    return None


@contextmanager
def serve_upstream(delay: float = 0.0) -> Iterator[tuple[str, Record]]:
    """Serve the upstream until the end of the block; yield its base URL and its record."""
    upstream = Upstream(delay)
    with run_app(upstream.app) as url:
        yield f"{url}/v1", upstream.record
