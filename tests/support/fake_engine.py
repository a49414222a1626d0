"""An engine for tests: replies by a function and remembers what it was asked."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from aligners.core.completions import Completion, Decoding, Failure, Request

Reply = str | Completion | Failure


class FakeEngine:
    """Replies to the last request first: completions may come in any order."""

    def __init__(self) -> None:
        self.reply: Callable[[Request, Decoding], Reply] = lambda *_: ""
        self.asked: list[Request] = []
        self.loaded = 0

    def load(self, recipe: dict[str, Any]) -> "FakeEngine":
        """Stand in for `load_engine`."""
        self.loaded += 1
        return self

    def __call__(
        self, requests: Iterable[Request], decoding: Decoding
    ) -> Iterator[Completion | Failure]:
        for request in reversed(list(requests)):
            self.asked.append(request)
            reply = self.reply(request, decoding)
            yield Completion(request.id, reply, "stop") if isinstance(reply, str) else reply
