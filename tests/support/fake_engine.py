"""An engine for tests: a function writes its replies, and it records the requests."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aligners.core.completions import Completion, Decoding, Failure, Request

Reply = str | Completion | Failure


class FakeEngine:
    """Replies to the last request first, because an engine may use any order.

    Attributes:
        reply: writes the reply to a request; a test sets it.
        asked: the requests so far.
        loaded: how often the engine was loaded.
    """

    def __init__(self) -> None:
        self.reply: Callable[[Request, Decoding], Reply] = lambda *_: ""
        self.asked: list[Request] = []
        self.loaded = 0

    def load(self, recipe: dict[str, Any]) -> "FakeEngine":
        """Replace `load_engine`."""
        self.loaded += 1
        return self

    def __call__(
        self, requests: Iterable[Request], decoding: Decoding
    ) -> Iterator[Completion | Failure]:
        for request in reversed(list(requests)):
            self.asked.append(request)
            reply = self.reply(request, decoding)
            yield Completion(request.id, reply, "stop") if isinstance(reply, str) else reply
