"""An engine for tests: replies by a function and remembers what it was asked."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aligners.engines import Completion, Decoding, Request


class FakeEngine:
    """Replies to the last request first: completions may come in any order."""

    def __init__(self) -> None:
        self.reply: Callable[[Request, Decoding], str | Completion] = lambda *_: ""
        self.asked: list[Request] = []
        self.loaded = 0

    def load(self, recipe: dict[str, Any]) -> "FakeEngine":
        """Stand in for `load_engine`."""
        self.loaded += 1
        return self

    def __call__(self, requests: Sequence[Request], decoding: Decoding) -> Iterator[Completion]:
        for request in reversed(requests):
            self.asked.append(request)
            reply = self.reply(request, decoding)
            yield reply if isinstance(reply, Completion) else Completion(request.id, reply, "stop")
