"""Sends the requests of a preview, each LLM in a process of its own.

The completions are stored beside the ledgers of the run, which finds them there: a request that the
run has too is not sent again.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, contextmanager, redirect_stderr
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from aligners.core.completions import Completion, Decoding, Engine, Failure, Request
from aligners.core.errors import UserError
from aligners.llms.generator import Generator

LOGS = Path("logs/preview")
# Of the ledger's file, beside those of the run's jobs.
SHARD = "preview"


@dataclass(frozen=True)
class Batch:
    """The requests of a stage to one LLM.

    Attributes:
        output: a file of rows in the directory of the stage's output, which decides where the
            ledger is; it is not written.
    """

    stage: str
    llm: str
    output: Path
    requests: list[Request]
    decoding: Decoding


@dataclass(frozen=True)
class Reply:
    """What an LLM returned.

    Attributes:
        results: completions and failures by id of the request.
        usage: the content of a usage file (docs/data.md).
    """

    results: dict[str, Completion | Failure]
    usage: dict[str, Any]


Ask = Callable[[Batch], Reply]

# Of the process: the LLM that it has loaded.
loaded: dict[str, Engine] = {}


def complete(batch: Batch) -> Reply:
    """Send the requests that the ledger lacks.

    Raises:
        UserError: the LLM cannot be used, or requests failed and the recipe has `require_all`.
    """
    LOGS.mkdir(parents=True, exist_ok=True)
    generator = Generator(batch.llm, batch.output)
    generator.engine = loaded.get(batch.llm)
    try:
        with (LOGS / f"{batch.llm}.log").open("a", encoding="utf-8") as log, redirect_stderr(log):
            results = generator.complete_all(
                batch.requests, batch.decoding, f"{batch.stage}, preview"
            )
    # torch raises a RuntimeError when a GPU is out of memory.
    except (RuntimeError, MemoryError) as error:
        reason = (str(error) or repr(error)).splitlines()[0]
        raise UserError(f"{batch.stage} of {batch.llm}: {reason}") from None
    if generator.engine is not None:
        loaded[batch.llm] = generator.engine
    return Reply(results, generator.usage.summary())


class LLMProcesses:
    """Runs `complete` in a separate process for each LLM.

    When the next LLM is asked, the process of the one before has ended: memory and GPUs are free,
    and its server is stopped.
    """

    def __init__(self) -> None:
        """Start without a process."""
        self.llm: str | None = None
        self.pool: ProcessPoolExecutor | None = None

    def ask(self, batch: Batch) -> Reply:
        """Send the requests of a batch.

        Raises:
            UserError: as `complete`, or the process was killed.
        """
        if self.pool is None or batch.llm != self.llm:
            self.close()
            self.llm = batch.llm
            self.pool = ProcessPoolExecutor(1, mp_context=get_context("spawn"))
        try:
            return self.pool.submit(complete, batch).result()
        except BrokenProcessPool:
            raise UserError(
                f"{batch.stage}: the process of {batch.llm} was killed, probably for lack of "
                "memory; use a smaller model or more memory"
            ) from None

    def close(self) -> None:
        """End the process, if there is one."""
        if self.pool is not None:
            self.pool.shutdown()


@contextmanager
def separate_processes() -> Iterator[Ask]:
    """Yield a function that asks an LLM in a process of its own."""
    with closing(LLMProcesses()) as processes:
        yield processes.ask
