"""Many requests at once, with faults of the upstream and kills of the process with the models.

Each answer is checked: it is the right text, or an error, or in the mode `original` the first
response with the action `failed`. Nothing else may happen, and every request has to be answered.
"""

import asyncio
import json
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx2
from served_squads import CHAT, Served, chat_body

# Faults that leave no whole answer; the last two arrive after the beginning.
FAULTS = ("500", "429", "html", "no_choices", "closes", "resets", "garbage", "error_event")
STREAM_FAULTS = ("resets", "garbage", "error_event")
# A request that is not answered so long is lost.
LONGEST = 120.0


@dataclass(frozen=True)
class Load:
    """What is sent.

    Attributes:
        requests: number of requests.
        clients: requests at the same time.
        fault_share: share of requests to which the upstream gives no whole answer.
        kills: of the process with the models, evenly spread over the requests.
        stream_share: share of requests for a stream.
        seed: of all that is drawn.
    """

    requests: int = 200
    clients: int = 8
    fault_share: float = 0.3
    kills: int = 4
    stream_share: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class Sent:
    """A request with its number, its fault, and whether it asks for a stream."""

    number: int
    fault: str
    is_stream: bool

    @property
    def is_bad(self) -> bool:
        """Whether the squad corrects the response."""
        return self.number % 2 == 0

    @property
    def original(self) -> str:
        """The upstream's response, which no other request has."""
        return f"{'bad' if self.is_bad else 'fine'} {self.number} " + 12 * "and so on "

    @property
    def right(self) -> str:
        """The response after the squad."""
        return self.original.replace("bad", "good")


class WrongAnswer(AssertionError):
    """An answer that may never happen."""


def run_soak(served: Served, load: Load) -> Counter[str]:
    """Send the requests; return how many had which outcome.

    Raises:
        WrongAnswer: an answer is wrong, or a request is lost.
    """
    return asyncio.run(Soak(served, load).run())


class Soak:
    """A run with its counts."""

    def __init__(self, served: Served, load: Load):
        self.served, self.load = served, load
        self.outcomes: Counter[str] = Counter()
        draw = random.Random(load.seed)
        self.waiting = [self.draw(number, draw) for number in range(load.requests, 0, -1)]
        self.answered = 0
        self.may_send = asyncio.Event()
        self.may_send.set()

    def draw(self, number: int, draw: random.Random) -> Sent:
        is_stream = draw.random() < self.load.stream_share
        faults = STREAM_FAULTS + FAULTS if is_stream else ("500", "html", "no_choices", "closes")
        is_faulty = draw.random() < self.load.fault_share
        return Sent(number, draw.choice(faults) if is_faulty else "", is_stream)

    async def run(self) -> Counter[str]:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
        async with httpx2.AsyncClient(
            base_url=self.served.url, timeout=LONGEST, limits=limits
        ) as client:
            killer = asyncio.create_task(self.kill())
            await asyncio.gather(*(self.send_all(client) for _ in range(self.load.clients)))
            await killer
        return self.outcomes

    async def send_all(self, client: httpx2.AsyncClient) -> None:
        while self.waiting:
            await self.may_send.wait()
            if not self.waiting:
                return
            sent = self.waiting.pop()
            body = chat_body(f"say: {sent.original}", sent.fault, stream=sent.is_stream)
            answer = await client.post(CHAT, json=body)
            self.outcomes[self.check(sent, answer)] += 1
            self.answered += 1

    async def kill(self) -> None:
        """Kill the process each time that the next part of the requests was answered.

        Some requests meet the dead process. Then the others wait until it is there again: the
        squad would examine few otherwise, because the other parts are much faster.
        """
        squad = self.served.service.squad
        clients = self.load.clients
        for number in range(1, self.load.kills + 1):
            # At least some answers of each process, because one that answers nothing is started
            # again later and later.
            await self.until_answered(
                max(number * self.load.requests // (self.load.kills + 1), self.answered + clients)
            )
            if squad.process is None:
                return  # All requests are answered.
            os.kill(squad.process.pid, signal.SIGKILL)
            self.outcomes["kills"] += 1
            await self.until(lambda: not squad.is_ready)
            await self.until_answered(self.answered + clients // 2)
            self.may_send.clear()
            await self.until(lambda: squad.is_ready)
            self.may_send.set()

    async def until_answered(self, number: int) -> None:
        """Wait until so many requests are answered."""
        await self.until(lambda: self.answered >= number)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition holds, or all requests are answered."""
        while not condition() and self.answered < self.load.requests:
            await asyncio.sleep(0.002)

    def check(self, sent: Sent, answer: httpx2.Response) -> str:
        """Return the outcome of a request."""
        mode = self.served.service.options.on_error
        if answer.status_code != 200:
            if "error" not in answer.text and sent.fault != "html":
                raise WrongAnswer(f"{sent}: status {answer.status_code}, {answer.text}")
            if "and so on" in answer.text:
                raise WrongAnswer(f"{sent}: an error with a part of the answer: {answer.text}")
            if sent.fault:
                return f"upstream {answer.status_code}"
            if answer.status_code == 503 and mode == "refuse":
                return "refused"
            raise WrongAnswer(f"{sent}: status {answer.status_code} without a reason")
        if sent.fault:
            raise WrongAnswer(f"{sent}: an answer in spite of the fault: {answer.text}")
        text, action = read_stream(answer) if sent.is_stream else read_whole(answer)
        if text == sent.right and action in ("corrected", "unchanged"):
            return action
        if text == sent.original and action == "failed" and mode == "original":
            return "failed"
        raise WrongAnswer(f"{sent}: {action} {text!r}")


def read_whole(answer: httpx2.Response) -> tuple[str, str]:
    """Return the text and the action of a whole answer."""
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text, answer.headers["x-aligners-action"]


def read_stream(answer: httpx2.Response) -> tuple[str, str]:
    """Return the text and the action of a stream."""
    blocks = [block for block in answer.text.split("\n\n") if block.startswith("data: ")]
    if blocks[-1] != "data: [DONE]":
        raise WrongAnswer(f"a stream without its end: {answer.text}")
    chunks: list[dict[str, Any]] = [
        json.loads(block.removeprefix("data: ")) for block in blocks[:-1]
    ]
    pieces = [
        choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]
    ]
    return "".join(pieces), chunks[-1]["aligners"]["action"]
