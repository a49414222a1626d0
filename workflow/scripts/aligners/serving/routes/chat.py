"""The route of chat completions: asks the upstream, lets the squad examine, and answers."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass, field

import httpx2
from starlette.requests import Request
from starlette.responses import Response

from aligners.serving.completions.answers import correct_answer, parse_answer, rows_of
from aligners.serving.completions.chunks import StreamedAnswer, rewritten
from aligners.serving.completions.events import DONE, EventParser, event, json_event
from aligners.serving.errors import ApiError, PassedError, upstream_error
from aligners.serving.exchange import Exchange
from aligners.serving.http.bodies import ChatRequest, Json, parse_object, read_body, read_chat
from aligners.serving.http.replies import EVENT_STREAM, EventResponse, while_connected
from aligners.serving.service import Service, exchange_of, query_of, service_of
from aligners.serving.upstream import Headers, Upstream, shown_headers

AFFECTS_RESULTS = False

PATH = "/chat/completions"
# How long the connection can stay open after the mark of the end of a stream.
END_SECONDS = 0.2


async def complete_chat(request: Request) -> Response:
    """Answer a request for a chat completion."""
    service, exchange = service_of(request), exchange_of(request)
    upstream = service.needed_upstream()
    body = await read_body(request, service.options.max_body)
    exchange.begin()
    chat = read_chat(parse_object(body))
    turn = ChatTurn(
        service,
        exchange,
        upstream,
        chat,
        body,
        query_of(request),
        request.headers.items(),
    )
    if not chat.stream:
        return await while_connected(request.receive, turn.answer())
    events = turn.held() if exchange.wishes.stream == "hold" else turn.observed()
    return EventResponse(
        events,
        service.options.ping_seconds,
        turn.passed_headers,
        lambda error: service.note_error(exchange, error),
    )


@dataclass
class ChatTurn:
    """A request for a chat completion and its answer.

    Attributes:
        service, exchange, upstream: that take part.
        chat: what the request asks.
        body, query, headers: of the request, for the upstream.
        passed_headers: of the upstream's answer.
    """

    service: Service
    exchange: Exchange
    upstream: Upstream
    chat: ChatRequest
    body: bytes
    query: str
    headers: Headers
    passed_headers: Headers = field(default_factory=list)

    async def answer(self) -> Response:
        """Return the whole answer.

        Raises:
            ApiError: there is none.
        """
        with self.room():
            return await self.corrected()

    async def corrected(self) -> Response:
        """Return the whole answer (`answer`)."""
        asked = time.perf_counter()
        reply = await self.upstream.send("POST", PATH, self.query, self.headers, self.body)
        self.measure(asked)
        if reply.status >= 400:
            raise PassedError(reply.status, reply.headers, reply.content)
        answer = parse_answer(reply.content)
        self.service.metrics.count_tokens(answer.get("usage"))
        verdicts = await self.service.examine_all(self.exchange, rows_of(answer, self.chat))
        content = reply.content
        correct_answer(answer, verdicts)
        if self.exchange.wishes.trace:
            answer["aligners"] = self.exchange.describe(verdicts, self.thresholds)
        if self.exchange.wishes.trace or any(each.action == "corrected" for each in verdicts):
            content = json.dumps(answer).encode()
        return passed_response(reply.status, reply.headers, content)

    async def held(self) -> AsyncGenerator[bytes]:
        """Yield the events of a stream that is sent after its correction.

        Raises:
            ApiError: there is no whole answer.
        """
        answer = StreamedAnswer()
        with self.room():
            async with aclosing(self.events()) as events:
                async for data in events:
                    answer.add(data)
            answer.check_end(self.chat.choices)
            self.service.metrics.count_tokens(answer.usage)
            verdicts = await self.service.examine_all(self.exchange, answer.rows(self.chat))
        told = self.exchange.describe(verdicts, self.thresholds)
        yield b"".join(rewritten(answer, verdicts, told))

    async def observed(self) -> AsyncGenerator[bytes]:
        """Yield the events of a stream as they arrive; the last says what the squad would do.

        Raises:
            ApiError: there is no whole answer.
        """
        with self.room():
            async with aclosing(self.passed_on()) as events:
                async for data in events:
                    yield data

    async def passed_on(self) -> AsyncGenerator[bytes]:
        """Yield the events of a stream (`observed`).

        An event without text waits for the next, because it may be the last.
        """
        answer, waiting = StreamedAnswer(), b""
        last: Json = {}
        async with aclosing(self.events()) as events:
            async for data in events:
                chunk = answer.add(data, keep=False)
                if chunk is None:
                    continue
                if waiting:
                    yield event(waiting)
                waiting, last = b"", chunk
                if has_text(chunk):
                    yield event(data)
                else:
                    waiting = data
        answer.check_end(self.chat.choices)
        self.service.metrics.count_tokens(answer.usage)
        rows = answer.rows(self.chat)
        verdicts = await self.service.examine_all(self.exchange, rows, was_sent=True)
        told = self.exchange.describe(verdicts, self.thresholds)
        final = last if waiting else {**last, "choices": []}
        yield json_event({**final, "aligners": told}) + event(DONE)

    def room(self) -> AbstractContextManager[None]:
        """Keep room for the responses, so that the squad can examine them when they are there."""
        return self.service.room(self.chat.choices if self.chat.skip is None else 0)

    async def events(self) -> AsyncGenerator[bytes]:
        """Yield the data of the events of the upstream, up to the mark of the end.

        Raises:
            ApiError: the upstream gives no stream.
        """
        asked = time.perf_counter()
        parser = EventParser()
        async with self.upstream.stream(
            "POST", PATH, self.query, self.headers, self.body
        ) as response:
            await self.check_stream(response)
            parts = self.upstream.parts(response)
            async for part in parts:
                found = parser.feed(part)
                if DONE in found:
                    await read_end(parts)
                    self.measure(asked)
                for data in found:
                    yield data
                if DONE in found:
                    return
            self.measure(asked)
            for data in parser.end():
                yield data

    async def check_stream(self, response: httpx2.Response) -> None:
        """Check that the upstream began a stream, and keep its headers.

        Raises:
            ApiError: it sent an error, or no stream.
        """
        if response.status_code >= 400:
            reply = await self.upstream.read(response)
            raise PassedError(reply.status, reply.headers, reply.content)
        if not response.headers.get("content-type", "").startswith(EVENT_STREAM):
            raise upstream_error(
                "the upstream answered a request for a stream with no stream", "upstream_nonsense"
            )
        self.passed_headers += shown_headers(response)

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds of the squad."""
        return self.service.info().thresholds

    def measure(self, asked: float) -> None:
        """Keep how long the upstream took for its whole answer."""
        self.exchange.upstream_seconds = time.perf_counter() - asked
        self.service.metrics.upstream.observe(self.exchange.upstream_seconds)


async def read_end(parts: AsyncIterator[bytes]) -> None:
    """Read what follows the mark of the end, so that the connection can be used again.

    The answer is whole without it, so no error of the connection counts any more.
    """
    with suppress(TimeoutError, ApiError, httpx2.HTTPError, httpx2.StreamError):
        async with asyncio.timeout(END_SECONDS):
            async for _ in parts:
                pass


def has_text(chunk: Json) -> bool:
    """Return whether a chunk brings text and ends nothing, so that it cannot be the last."""
    choices = chunk["choices"]
    return any((choice.get("delta") or {}).get("content") for choice in choices) and not any(
        choice.get("finish_reason") for choice in choices
    )


def passed_response(status: int, headers: Headers, content: bytes) -> Response:
    """Return an answer of the upstream, with its headers."""
    response = Response(content, status)
    response.raw_headers += [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return response
