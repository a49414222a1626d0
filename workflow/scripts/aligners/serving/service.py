"""What all routes share: the options, the squad, the upstream, the metrics; and examining a row."""

import asyncio
import logging
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from starlette.requests import Request

from aligners.core.reasons import QUESTION_TOO_LONG, TOO_LONG
from aligners.serving.errors import SERVER, ApiError, too_many
from aligners.serving.exchange import OBSERVED, Exchange, Verdict
from aligners.serving.metrics import Metrics
from aligners.serving.models.client import SquadClient, SquadFailure, SquadInfo
from aligners.serving.options import ServeOptions
from aligners.serving.reasons import OVERLOAD
from aligners.serving.text_log import TextLog
from aligners.serving.upstream import Upstream

AFFECTS_RESULTS = False

logger = logging.getLogger(__name__)

T = TypeVar("T")

# Seconds after which a client can try again while the models are loaded.
LOADING_SECONDS = 5


@dataclass(frozen=True)
class Row:
    """A response to examine.

    Attributes:
        question: that it answers.
        response: the text; None if it has none.
        skip: why the squad does not examine it; None if it does.
        index: of the choice.
    """

    question: str
    response: str | None
    skip: str | None = None
    index: int = 0


@dataclass
class Service:
    """The parts of a server."""

    options: ServeOptions
    squad: SquadClient
    upstream: Upstream | None
    metrics: Metrics
    text_log: TextLog | None
    # Responses for which requests in progress keep room.
    taken: int = 0

    def info(self) -> SquadInfo:
        """Return what the squad is.

        Raises:
            ApiError: its models are not loaded yet.
        """
        if self.squad.info is None:
            raise ApiError(
                503,
                "the squad is not loaded yet; try again",
                "not_ready",
                SERVER,
                headers={"retry-after": str(LOADING_SECONDS)},
            )
        return self.squad.info

    def needed_upstream(self) -> Upstream:
        """Return the upstream.

        Raises:
            ApiError: the server has none.
        """
        if self.upstream is None:
            raise ApiError(
                501,
                "this server has no LLM behind it; start it with --upstream URL, or send responses "
                "to /v1/align",
                "no_upstream",
            )
        return self.upstream

    def note_error(self, exchange: Exchange, error: ApiError) -> None:
        """Count and log an error that a client gets."""
        if error.is_upstream:
            self.metrics.upstream_errors.labels(error.code).inc()
        # Not the message: it can quote the request, or what the upstream says of it.
        logger.info("request %s: %d %s", exchange.id, error.status, error.code)

    @contextmanager
    def room(self, rows: int) -> Iterator[None]:
        """Keep room in the queue of the squad for the responses of a request.

        It is kept while the upstream still writes them: a response must not find the queue full
        when the LLM has done its work.

        Raises:
            ApiError: the squad is not loaded yet, or has no room.
        """
        self.info()
        if rows > self.options.max_queue:
            raise ApiError(
                413,
                f"the request is about {rows} responses, and at most {self.options.max_queue} can "
                "wait for the squad; ask for fewer in one request",
                "too_many_rows",
            )
        if not self.has_room(rows):
            raise too_many(
                f"the queue of the squad has {self.taken + self.squad.overdue()} of at most "
                f"{self.options.max_queue} responses, with those that the LLM still writes; try "
                "again later",
                self.squad.wait_seconds(),
            )
        self.taken += rows
        try:
            yield
        finally:
            self.taken -= rows

    def has_room(self, rows: int) -> bool:
        """Return whether the queue of the squad has room for more responses."""
        return not rows or self.taken + self.squad.overdue() + rows <= self.options.max_queue

    async def examine_all(
        self,
        exchange: Exchange,
        rows: Sequence[Row],
        was_sent: bool = False,
        failure: SquadFailure | None = None,
    ) -> list[Verdict]:
        """Return what became of each response, in order.

        Args:
            exchange: the request.
            rows: at least one response.
            was_sent: whether the client has the responses already, so that none is corrected or
                refused.
            failure: why the squad cannot be asked; None if it can.

        Raises:
            ApiError: the squad failed, and then the client wants no answer.
        """
        verdicts = await gather([self.examine(exchange, row, was_sent, failure) for row in rows])
        for row, verdict in zip(rows, verdicts, strict=True):
            self.metrics.responses.labels(verdict.action, verdict.reason).inc()
            self.metrics.count_turns(verdict.trace)
            if self.text_log is not None and row.response:
                self.text_log.write(exchange.id, row.question, verdict)
        exchange.conclude(verdicts)
        return verdicts

    async def examine(
        self, exchange: Exchange, row: Row, was_sent: bool, failure: SquadFailure | None
    ) -> Verdict:
        """Let the squad correct a response (`examine_all`)."""
        skip = row.skip or self.too_long(row.question, row.response)
        if skip is not None or row.response is None:
            verdict = Verdict("skipped", skip or "", row.response, row.response)
        elif failure is not None:
            verdict = self.failed(exchange, row, failure, was_sent)
        else:
            try:
                found = await self.squad.correct(row.question, row.response)
            except SquadFailure as error:
                verdict = self.failed(exchange, row, error, was_sent)
            else:
                would_correct = was_sent and found["action"] == "corrected"
                verdict = Verdict(
                    OBSERVED if would_correct else found["action"],
                    found["reason"],
                    row.response,
                    found["text"],
                    found["scores"],
                    found["trace"],
                )
        return replace(verdict, index=row.index)

    def too_long(self, question: str, response: str | None) -> str | None:
        """Return the reason to skip a row with a very long text, or None.

        The inspectors need seconds for each 100,000 characters, and meanwhile score nothing else.
        """
        if len(question) > self.options.max_characters:
            return QUESTION_TOO_LONG
        return TOO_LONG if len(response or "") > self.options.max_characters else None

    def failed(
        self, exchange: Exchange, row: Row, failure: SquadFailure, was_sent: bool
    ) -> Verdict:
        """Return the response unchanged, if the client wants it when the squad fails.

        Raises:
            ApiError: the client wants no answer then.
        """
        mode = "original" if was_sent else exchange.wishes.on_error
        self.metrics.failures.labels(mode, failure.cause).inc()
        logger.warning(
            "request %s: the squad failed (%s): %s%s",
            exchange.id,
            failure.cause,
            failure,
            f" [{failure.criterion}]" if failure.criterion else "",
        )
        if mode == "refuse":
            self.metrics.responses.labels("refused", failure.cause).inc()
            raise self.refusal(exchange, failure)
        return Verdict("failed", failure.cause, row.response, row.response)

    def refusal(self, exchange: Exchange, failure: SquadFailure) -> ApiError:
        """Return the error of a response that the squad failed to examine."""
        exchange.action, exchange.reason = "refused", failure.cause
        of_criterion = f" (criterion {failure.criterion})" if failure.criterion else ""
        # Why a model failed is for the operator: it can name servers, keys and files.
        why = "its model failed" if failure.criterion else str(failure)
        wait = self.squad.wait_seconds() if failure.cause == OVERLOAD else 1
        return ApiError(
            503,
            f"the squad could not examine the response{of_criterion}: {why}; no answer is "
            "given, because on-error is refuse",
            failure.cause,
            SERVER,
            headers={"retry-after": str(wait)},
        )


def service_of(request: Request) -> Service:
    """Return the service of the app that got a request."""
    service: Service = request.app.state.service
    return service


def query_of(request: Request) -> str:
    """Return the query of a request's URL as the client wrote it."""
    query: bytes = request.scope["query_string"]
    return query.decode("latin-1")


def exchange_of(request: Request) -> Exchange:
    """Return what is known of a request."""
    exchange: Exchange = request.scope["aligners.exchange"]
    return exchange


async def gather(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Return the results of work that is done at the same time; an error cancels the rest."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.create_task(each) for each in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
