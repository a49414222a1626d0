"""The process with the models: reads requests from its input, and writes results to its output.

Lines of JSON. The server writes `{"id", "do": "correct" | "inspect", "question", "response"}`, or
`{"cancel": id}`, and `{"ping": true}` from time to time. This process first writes
`{"ready": {...}}`, or `{"fatal": message}` if it cannot load the squad. Then it writes for each id,
in any order, `{"id", "correction": {...}}`, `{"id", "scores": {...}}`,
`{"id", "error", "criterion"}`, `{"id", "cancelled": true}` or `{"id", "late": true}`. It answers a
ping with `{"busy": seconds}`: how long the models have worked on what they do now.
"""

import ctypes
import json
import logging
import os
import sys
import threading
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from scipy.special import expit

from aligners.configuration.kinds.inference import Inference
from aligners.core.errors import UserError
from aligners.core.reasons import FAILED
from aligners.squads.errors import WaitedTooLong

AFFECTS_RESULTS = False

logger = logging.getLogger(__name__)

# Requests after which free memory is returned to the system, each time.
REQUESTS_BETWEEN_RETURNS = 250
# Of the time of a row, for a request to the server of an aligner.
SHARE_OF_REQUEST = 0.8
# Of the time of a row, in which an aligner has to begin with it: the rest is for the work.
SHARE_OF_WAIT = 0.5
# Of a message about an error of a library.
MOST_CHARACTERS = 300


class Output:
    """Lines of JSON that several threads write."""

    def __init__(self, file: BinaryIO):
        self.file, self.lock = file, threading.Lock()

    def write(self, message: dict[str, Any]) -> None:
        """Write a line.

        If the server ended, the process ends at once.
        """
        line = json.dumps(message).encode() + b"\n"
        try:
            with self.lock:
                self.file.write(line)
                self.file.flush()
        except OSError:
            os._exit(1)


def take_output() -> Output:
    """Return the standard output, which from now on is the standard error for everyone else.

    A library that prints something cannot break a line.
    """
    output = Output(os.fdopen(os.dup(1), "wb"))
    os.dup2(2, 1)
    return output


def answer(output: Output, number: int, field: str, result: Future[Any]) -> None:
    """Write the result of a request."""
    if result.cancelled():
        output.write({"id": number, "cancelled": True})
        return
    error = result.exception()
    if isinstance(error, WaitedTooLong):
        output.write({"id": number, "late": True})
        return
    if error is not None:
        criterion = getattr(error, "criterion", None)
        output.write({"id": number, "error": describe(error), "criterion": criterion})
        return
    value = result.result()
    if field == "scores":
        output.write({"id": number, "scores": value})
    elif value.action == "failed":
        failed = next(turn["criterion"] for turn in value.trace if turn["reason"] == FAILED)
        message = "the server of an aligner gave no correction"
        output.write({"id": number, "error": message, "criterion": failed})
    else:
        output.write({"id": number, "correction": value.as_json()})


def describe(error: BaseException) -> str:
    """Return the first line of an error, with its type unless it is made for users."""
    line = str(error).strip().partition("\n")[0][:MOST_CHARACTERS]
    return line if isinstance(error, UserError) else f"{type(error).__name__}: {line}"


def serve(batcher: Any, output: Output) -> None:
    """Answer requests with the threads of a squad (`Batcher`) until the input ends."""
    waiting: dict[int, Future[Any]] = {}
    for count, line in enumerate(sys.stdin.buffer, start=1):
        if count % REQUESTS_BETWEEN_RETURNS == 0:
            return_free_memory()
        request = json.loads(line)
        if "ping" in request:
            output.write({"busy": batcher.busy_seconds()})
            continue
        if "cancel" in request:
            # Another thread may just have removed it, with its result.
            cancelled = waiting.get(request["cancel"])
            if cancelled is not None:
                cancelled.cancel()
            continue
        number = request["id"]
        if request["do"] == "correct":
            field, work = "correction", batcher.correct
        else:
            field, work = "scores", batcher.inspect
        result = waiting[number] = work(request["question"], request["response"])
        result.add_done_callback(partial(answer, output, number, field))
        result.add_done_callback(lambda _, number=number: waiting.pop(number, None))


def return_free_memory() -> None:
    """Return to the system the memory that the C library keeps for later use.

    glibc keeps what batches of each size leave behind: 200 of 920 MiB after 26,000 requests with
    the demo's squad, and slowly more.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "malloc_trim"):  # Other C libraries have no such function.
        libc.malloc_trim(0)


def describe_squad(squad: Any) -> dict[str, Any]:
    """Return what the server tells about a squad."""
    return {
        "name": squad.record.name,
        "system": squad.record.system,
        "criteria": squad.criteria,
        "thresholds": {name: float(expit(odds)) for name, odds in squad.thresholds.items()},
    }


def in_time(inference: Inference, seconds: float) -> Inference:
    """Return where aligners generate, with requests that end before the server gives a row up.

    The limits of a recipe are for jobs, which can wait for hours. Here nobody waits so long.

    Raises:
        UserError: the servers of the aligners run in turn.
    """
    if inference.engine == "transformers":
        return inference
    if inference.in_turn:
        raise UserError(
            "in_turn: true starts a server again and again, for which no response can wait; set "
            "in_turn: false in the file of --inference, or generate without servers"
        )
    limit = min(inference.request_seconds or seconds, SHARE_OF_REQUEST * seconds)
    logger.info(
        "a request to the server of an aligner can take %g s (request_seconds, and at most %.0f%% "
        "of --timeout, which is %g s)",
        limit,
        100 * SHARE_OF_REQUEST,
        seconds,
    )
    return inference.model_copy(update={"request_seconds": limit})


def end_process(error: threading.ExceptHookArgs) -> None:
    """End the process after an error of a thread, without which rows would wait forever."""
    threading.__excepthook__(error)
    os._exit(1)


def main(path: str, seconds: str, inference: str = "") -> None:
    """Load a squad and answer requests.

    Args:
        path: of the squad.
        seconds: after which the server gives a row up.
        inference: YAML file that says where the aligners generate; empty for this process.
    """
    output = take_output()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    try:
        # Imported here, so that an error of the import is told too.
        from aligners.squads.batcher import Batcher
        from aligners.squads.models import load_inference
        from aligners.squads.squad import Squad

        where = load_inference(Path(inference) if inference else None)
        squad = Squad.load(path, inference=in_time(where, float(seconds)))
    except UserError as error:
        output.write({"fatal": str(error)})
        sys.exit(1)
    threading.excepthook = end_process
    output.write({"ready": describe_squad(squad)})
    serve(Batcher(squad, SHARE_OF_WAIT * float(seconds)), output)
    # Nobody waits for a result any more: threads that still work end with the process.
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
