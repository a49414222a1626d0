"""Server-sent events: parsed from the upstream's bytes, and written for clients."""

import json
from typing import Any

AFFECTS_RESULTS = False

DONE = b"[DONE]"
PING = b": ping\n\n"


class EventParser:
    """Finds the data of events in bytes that arrive in any pieces.

    Comments and fields other than `data` are passed over: OpenAI's API does not use them.
    """

    def __init__(self) -> None:
        self.rest = b""
        self.data: list[bytes] = []

    def feed(self, part: bytes) -> list[bytes]:
        """Return the data of the events that end in this part."""
        lines = (self.rest + part).split(b"\n")
        self.rest = lines.pop()
        events = []
        for line in lines:
            line = line.removesuffix(b"\r")
            if line.startswith(b"data:"):
                self.data.append(line[5:].removeprefix(b" "))
            elif not line and self.data:
                events.append(b"\n".join(self.data))
                self.data = []
        return events

    def end(self) -> list[bytes]:
        """Return the data of an event whose last line is missing; some servers leave it out."""
        return [event for event in self.feed(b"\n\n") if event]


def event(data: bytes) -> bytes:
    """Return an event. No line of JSON has a newline, so that data is one line."""
    return b"data: " + data.replace(b"\n", b"\ndata: ") + b"\n\n"


def json_event(value: Any) -> bytes:
    """Return an event with a value as JSON."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"
