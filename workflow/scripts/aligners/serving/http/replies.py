"""Sends answers while the client is connected: whole ones, and streams with pings."""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from aligners.serving.completions.events import PING, event
from aligners.serving.errors import ApiError, read_too_slowly, shutting_down
from aligners.serving.upstream import Headers

AFFECTS_RESULTS = False

T = TypeVar("T")

# Events that a slow client has not read; then the upstream has to wait.
MOST_EVENTS = 64
# After the time limit of the events, for a slow client to read those that wait.
SECONDS_TO_READ = 5.0
# Events, and at the end None or an error.
Items = asyncio.Queue[bytes | Exception | None]
EVENT_STREAM = "text/event-stream"
# X-Accel-Buffering: otherwise nginx collects events before it sends them.
STREAM_HEADERS = [
    ("content-type", f"{EVENT_STREAM}; charset=utf-8"),
    ("cache-control", "no-cache"),
    ("x-accel-buffering", "no"),
]


def json_response(value: Any, status: int = 200) -> Response:
    """Return a value as JSON. It is ASCII, so that every text can be sent."""
    return Response(json.dumps(value), status, media_type="application/json")


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Return the result of work, which is cancelled if the client leaves.

    Raises:
        ClientDisconnect: it left.
    """
    task = asyncio.ensure_future(work)
    gone = asyncio.create_task(until_gone(receive))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        await cancel(task, gone)


async def until_gone(receive: Receive) -> None:
    """Return when the client leaves."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def cancel(*tasks: asyncio.Future[Any]) -> None:
    """Cancel tasks and wait for their end."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def body(content: bytes, more: bool) -> Message:
    """Return the message of a part of a body."""
    return {"type": "http.response.body", "body": content, "more_body": more}


class EventResponse(Response):
    """A stream of events, which begins with the first event or after some seconds.

    Until then, an error has a status of its own. Later, it is an event.
    """

    def __init__(
        self,
        events: AsyncGenerator[bytes],
        ping_seconds: float,
        passed_headers: Headers,
        note_error: Callable[[ApiError], None],
    ):
        """Describe the stream.

        Args:
            events: the events; may raise an ApiError at any time.
            ping_seconds: after so long without an event, a comment is sent.
            passed_headers: of the upstream; may be filled until the first event.
            note_error: called with an error that becomes an event.
        """
        self.events, self.ping_seconds = events, ping_seconds
        self.passed_headers, self.note_error = passed_headers, note_error
        self.has_begun = False
        # Ends the stream of a client that does not read.
        self.limit = asyncio.timeout(None)
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream. That of a client that does not read is left without an end."""
        queue: Items = asyncio.Queue(MOST_EVENTS)
        producer = asyncio.create_task(self.produce(queue))
        gone = asyncio.create_task(self.watch(receive, queue))
        try:
            async with self.limit:
                await self.send_all(queue, send)
        except TimeoutError:
            self.note_error(read_too_slowly())
        except asyncio.CancelledError:
            if not self.has_begun:
                raise
            await self.send_last(shutting_down(), send)
        finally:
            await cancel(producer, gone)

    async def produce(self, queue: Items) -> None:
        """Put the events into the queue, then None or an error.

        One task reads all events: a time limit belongs to the task in which it begins. If it ends
        while the task waits for a slow client, the events do not see it.
        """
        try:
            async with aclosing(self.events) as events:
                async for data in events:
                    await queue.put(data)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():  # by `__call__`
                raise
            self.limit.reschedule(asyncio.get_running_loop().time() + SECONDS_TO_READ)
            await queue.put(read_too_slowly())
        except Exception as error:
            await queue.put(error)
        else:
            await queue.put(None)

    async def watch(self, receive: Receive, queue: Items) -> None:
        """Put an error into the queue when the client leaves."""
        await until_gone(receive)
        await queue.put(ClientDisconnect())

    async def send_all(self, queue: Items, send: Send) -> None:
        """Send what comes out of the queue."""
        while True:
            item: bytes | Exception | None = PING
            with suppress(TimeoutError):
                async with asyncio.timeout(self.ping_seconds):
                    item = await queue.get()
            if isinstance(item, ClientDisconnect):
                return
            if isinstance(item, ApiError) and self.has_begun:
                await self.send_last(item, send)
                return
            if isinstance(item, Exception):
                raise item
            await self.begin(send)
            await send(body(item or b"", more=item is not None))
            if item is None:
                return

    async def send_last(self, error: ApiError, send: Send) -> None:
        """Send an error as the last event."""
        self.note_error(error)
        await send(body(event(error.event_data()), more=False))

    async def begin(self, send: Send) -> None:
        """Send the status and the headers, once."""
        if self.has_begun:
            return
        self.has_begun = True
        names = {name for name, _ in STREAM_HEADERS}
        passed = [(name, value) for name, value in self.passed_headers if name not in names]
        headers = [(name.encode(), value.encode("latin-1")) for name, value in passed]
        headers += [(name.encode(), value.encode()) for name, value in STREAM_HEADERS]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
