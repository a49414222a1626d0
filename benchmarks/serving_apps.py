"""Two apps for the benchmark of the server: an LLM's API with known responses, and a bare proxy.

uvicorn runs each in a process of its own. RESPONSES names a JSON file with the response to each
question, and UPSTREAM is the base URL for the proxy.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

PIECE = 12  # Characters of a chunk.
RESPONSES: dict[str, str] = json.loads(Path(os.environ["RESPONSES"]).read_text(encoding="utf-8"))


async def complete(request: Request) -> Response:
    """Answer with the known response; the field `fault` of the request asks for a fault."""
    body = await request.json()
    text, fault = RESPONSES[body["messages"][-1]["content"]], body.get("fault")
    if fault == "status":
        return JSONResponse({"error": {"message": "busy", "code": "busy"}}, 503)
    if body.get("stream"):
        return StreamingResponse(stream(text, fault), media_type="text/event-stream")
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return JSONResponse({"id": "chatcmpl-1", "object": "chat.completion", "choices": [choice]})


async def stream(text: str, fault: str | None) -> AsyncIterator[bytes]:
    """Yield the events of a stream; a fault comes in its middle."""
    pieces = [text[start : start + PIECE] for start in range(0, len(text), PIECE)]
    for number, piece in enumerate(pieces):
        if number == len(pieces) // 2:
            if fault == "closes":
                return
            if fault == "resets":
                raise ConnectionResetError
            if fault == "garbage":
                yield b"data: {no JSON\n\n"
            if fault == "error":
                yield b'data: {"error": {"message": "out of memory", "code": 500}}\n\n'
                return
        yield event({"content": piece}, None)
        await asyncio.sleep(0)
    yield event({}, "stop")
    yield b"data: [DONE]\n\n"


def event(delta: dict[str, str], finish: str | None) -> bytes:
    """Return an event with a chunk."""
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


upstream = Starlette(routes=[Route("/v1/chat/completions", complete, methods=["POST"])])


@asynccontextmanager
async def one_client(app: Starlette) -> AsyncIterator[None]:
    """Keep one client for all requests."""
    async with httpx2.AsyncClient(base_url=os.environ["UPSTREAM"], timeout=60) as app.state.client:
        yield


async def forward(request: Request) -> Response:
    """Send the body to the upstream, and its answer back."""
    reply = await request.app.state.client.post(
        "/chat/completions",
        content=await request.body(),
        headers={"content-type": "application/json"},
    )
    return Response(reply.content, reply.status_code, media_type="application/json")


proxy = Starlette(
    routes=[Route("/v1/chat/completions", forward, methods=["POST"])], lifespan=one_client
)
