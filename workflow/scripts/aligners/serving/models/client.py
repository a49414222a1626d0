"""The process with the models, as the server sees it: started, asked, watched and restarted.

The two processes exchange lines of JSON (`models.process`).
"""

import asyncio
import itertools
import json
import logging
import math
import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aligners.serving.reasons import MODEL_PROCESS, OVERLOAD, SQUAD_ERROR, TIMEOUT

AFFECTS_RESULTS = False

logger = logging.getLogger(__name__)

FIRST_DELAY, LONGEST_DELAY = 0.2, 30.0
# A line has at most a response and its trace; the limit on bodies applies before.
LINE_LIMIT = 2**30
# Times the time limit that one batch takes at most: a thread that works longer hangs, also if the
# other thread still gives results.
HANGS = 10
# Weight of the newest row in the mean seconds that a row takes.
NEWEST = 0.1

Answer = dict[str, Any]


class SquadFailure(Exception):
    """The squad gave no result for a response, through no fault of the client.

    Attributes:
        cause: one of the causes in `reasons`.
        criterion: whose model failed, if that is known.
    """

    def __init__(self, cause: str, message: str, criterion: str | None = None):
        super().__init__(message)
        self.cause, self.criterion = cause, criterion


@dataclass(frozen=True)
class SquadInfo:
    """What the squad is.

    Attributes:
        name, system: of the squad's record.
        criteria: their names, in order.
        thresholds: P(aligned) by criterion, from which on a response needs no correction.
    """

    name: str
    system: str
    criteria: list[str]
    thresholds: dict[str, float]


class SquadClient:
    """A client of the process with the models.

    Attributes:
        info: of the squad; None before its models are loaded for the first time.
        is_ready: whether the models are loaded now.
        pending: results that the process owes, by number.
        answers: how many results it gave.
        fatal: done with a message if the models could not be loaded the first time.
    """

    def __init__(
        self,
        command: Sequence[str],
        timeout: float,
        max_queue: int,
        count_restart: Callable[[], None] = lambda: None,
    ):
        """Describe the process; `start` starts it.

        Args:
            command: of the process.
            timeout: seconds within which the process has to give a result.
            max_queue: responses that it owes at most.
            count_restart: called at each restart.
        """
        self.command, self.timeout, self.max_queue = list(command), timeout, max_queue
        self.count_restart = count_restart
        self.info: SquadInfo | None = None
        self.is_ready = self.is_closing = False
        self.pending: dict[int, asyncio.Future[Answer]] = {}
        self.numbers = itertools.count(1)
        self.process: asyncio.subprocess.Process | None = None
        # When it gave a result, and when it was known to work or to wait.
        self.last_answer = self.last_sign = time.monotonic()
        # How long its models worked on one batch when it last told.
        self.busy = 0.0
        self.answers = 0
        self.seconds_per_row = 0.0
        self.supervisor: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the process in the background."""
        self.fatal: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.supervisor = asyncio.create_task(self.supervise())

    async def correct(self, question: str, response: str) -> Answer:
        """Return the fields of a `Correction`.

        Raises:
            SquadFailure: the squad gave no result.
        """
        return read_correction(await self.ask("correct", question, response))

    async def inspect(self, question: str, response: str) -> dict[str, float | None]:
        """Return P(aligned) by criterion.

        Raises:
            SquadFailure: the squad gave no result.
        """
        scores = (await self.ask("inspect", question, response)).get("scores")
        if not isinstance(scores, dict):
            raise SquadFailure(SQUAD_ERROR, "the model process answered without scores")
        return scores

    async def ask(self, what: str, question: str, response: str) -> Answer:
        """Return the answer of the process to a request.

        Raises:
            SquadFailure: it is not there, has too much to do, failed, or took too long.
        """
        if not self.is_ready:
            raise SquadFailure(MODEL_PROCESS, "the model process is starting again")
        if len(self.pending) >= self.max_queue:
            raise SquadFailure(OVERLOAD, f"{len(self.pending)} responses wait for the squad")
        number = next(self.numbers)
        if not self.pending:
            self.last_answer = time.monotonic()
        future = self.pending[number] = asyncio.get_running_loop().create_future()
        self.write({"id": number, "do": what, "question": question, "response": response})
        try:
            async with asyncio.timeout(self.timeout):
                answer = await future
        except TimeoutError:
            self.write({"cancel": number})
            raise SquadFailure(TIMEOUT, f"no result within {self.timeout:g} seconds") from None
        except asyncio.CancelledError:  # The client left.
            self.write({"cancel": number})
            raise
        if "late" in answer:
            raise SquadFailure(OVERLOAD, "more responses wait than the squad corrects in time")
        if "error" in answer:
            raise SquadFailure(SQUAD_ERROR, str(answer["error"]), answer.get("criterion"))
        return answer

    def write(self, message: Answer) -> None:
        """Send a line to the process, if it lives."""
        if self.process is not None and self.process.stdin is not None:
            # What cannot be sent is not lost: the end of the process fails all that is pending.
            with suppress(ConnectionError, RuntimeError):
                self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def overdue(self) -> int:
        """Return how many results the process owes for which nobody waits any more."""
        return sum(future.done() for future in self.pending.values())

    def wait_seconds(self) -> int:
        """Return after how many seconds the queue may have room, for the field Retry-After."""
        return max(1, min(60, math.ceil(len(self.pending) * self.seconds_per_row / 2)))

    async def supervise(self) -> None:
        """Start the process again each time it ends.

        It is started later and later, unless it answered something or lived for some time.
        """
        delay = FIRST_DELAY
        while not self.is_closing:
            before, started = self.answers, time.monotonic()
            message = await self.run_process()
            if self.is_closing:
                return
            if self.info is None:
                self.fatal.set_result(message)
                return
            worked = self.answers > before or time.monotonic() - started > 2 * LONGEST_DELAY
            delay = FIRST_DELAY if worked else min(2 * delay, LONGEST_DELAY)
            logger.error("%s; it is started again in %.1f s", message, delay)
            await asyncio.sleep(delay)
            self.count_restart()

    async def run_process(self) -> str:
        """Run the process to its end, and return why it ended."""
        try:
            # Its own session: Ctrl-C reaches the server alone, which ends the process when no
            # request waits for it.
            self.process = await asyncio.create_subprocess_exec(
                *self.command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_LIMIT,
                start_new_session=True,
            )
        except OSError as error:
            return f"the model process cannot be started: {error}"
        watchdog = asyncio.create_task(self.watch(self.process))
        try:
            message = await self.read_answers(self.process)
        finally:
            watchdog.cancel()
            self.is_ready = False
            kill(self.process)
            status = await self.process.wait()
            self.process = None
            self.fail_pending()
        return message or f"the model process ended with status {status}"

    async def read_answers(self, process: asyncio.subprocess.Process) -> str:
        """Read the lines of the process to its end; return its last message, if it has one."""
        assert process.stdout is not None
        message = ""
        while line := await process.stdout.readline():
            try:
                answer = json.loads(line)
                message = self.take(answer) or message
            except (ValueError, TypeError, KeyError):
                return "the model process wrote a line that is not of the protocol"
        return message

    def take(self, answer: Answer) -> str | None:
        """Use a line of the process; return the message of one that cannot go on."""
        if "fatal" in answer:
            return str(answer["fatal"])
        if "ready" in answer:
            ready = answer["ready"]
            self.info = SquadInfo(
                ready["name"], ready["system"], ready["criteria"], ready["thresholds"]
            )
            self.is_ready, self.last_sign, self.busy = True, time.monotonic(), 0.0
            logger.info("the squad %s is ready", self.info.name)
            return None
        now = time.monotonic()
        if "busy" in answer:
            self.busy = answer["busy"]
            self.last_sign = max(self.last_sign, now - self.busy)
            return None
        if not answer.keys() & {"cancelled", "late"}:
            self.seconds_per_row += NEWEST * (now - self.last_answer - self.seconds_per_row)
            self.last_answer = self.last_sign = now
            self.answers += 1
        future = self.pending.pop(answer["id"], None)
        if future is not None and not future.done():
            future.set_result(answer)
        return None

    async def watch(self, process: asyncio.subprocess.Process) -> None:
        """Kill the process if its models hang: they work too long without a result.

        A process that waits for the servers of aligners, or only for requests, does not hang.
        """
        pause, last = min(1.0, self.timeout / 4), time.monotonic()
        while True:
            await asyncio.sleep(pause)
            now, before = time.monotonic(), last
            last = now
            if now - before > 2 * pause:  # The server itself was stopped, or the whole machine.
                self.last_sign = now
            silent = now - self.last_sign
            # One thread can hang while the other gives results.
            if self.is_ready and (silent > self.timeout or self.busy > HANGS * self.timeout):
                logger.error(
                    "the model process gave no result for %.0f s, in which its models worked or "
                    "hung, while %d responses waited, so it is killed; raise --timeout if the "
                    "models can work so long",
                    max(silent, self.busy),
                    len(self.pending),
                )
                kill(process)
            elif self.is_ready:
                self.write({"ping": True})

    def fail_pending(self) -> None:
        """Fail all that is pending, so that nobody waits for a process that ended."""
        for future in self.pending.values():
            if not future.done():
                future.set_exception(SquadFailure(MODEL_PROCESS, "the model process ended"))
        self.pending.clear()

    async def close(self, seconds: float = 5.0) -> None:
        """End the process: first its input ends, and if it does not end then, it is killed."""
        self.is_closing = True
        if self.supervisor is None:
            return
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()
        await asyncio.wait([self.supervisor], timeout=seconds)
        self.supervisor.cancel()
        with suppress(asyncio.CancelledError):
            await self.supervisor


def kill(process: asyncio.subprocess.Process) -> None:
    """Kill a process and those that it started."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def read_correction(answer: Answer) -> Answer:
    """Return the correction in an answer of the process.

    Raises:
        SquadFailure: it has none, or a corrected text that is empty.
    """
    correction = answer.get("correction")
    names = {"text", "action", "reason", "scores", "trace"}
    if not isinstance(correction, dict) or not names <= correction.keys():
        raise SquadFailure(SQUAD_ERROR, "the model process answered without a correction")
    if correction["action"] == "corrected" and not str(correction["text"]).strip():
        raise SquadFailure(SQUAD_ERROR, "the squad returned an empty correction")
    return correction
