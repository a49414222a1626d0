"""What all routes share: the options, the squad, the upstream, the metrics; and examining a row."""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
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

    def check_room(self, rows: int = 1) -> None:
        """Check that the squad is loaded and has room for the rows of a request.

        Raises:
            ApiError: it is not or has not.
        """
        self.info()
        waiting = len(self.squad.pending)
        if rows > self.options.max_queue:
            raise ApiError(
                413,
                f"the request has {rows} rows, and at most {self.options.max_queue} can wait for "
                "the squad; send fewer in one request",
                "too_many_rows",
                param="rows",
            )
        if waiting + rows > self.options.max_queue:
            raise too_many(
                f"{waiting} responses wait for the squad; try again later",
                self.squad.wait_seconds(),
            )

    async def examine_all(
        self, exchange: Exchange, rows: Sequence[Row], was_sent: bool = False
    ) -> list[Verdict]:
        """Return what became of each response, in order.

        Args:
            exchange: the request.
            rows: at least one response.
            was_sent: whether the client has the responses already, so that none is corrected.

        Raises:
            ApiError: the squad failed, and then the client wants no answer.
        """
        verdicts = await gather([self.examine(exchange, row) for row in rows])
        if was_sent:
            verdicts = [
                replace(each, action=OBSERVED) if each.action == "corrected" else each
                for each in verdicts
            ]
        for verdict in verdicts:
            self.metrics.responses.labels(verdict.action, verdict.reason).inc()
            self.metrics.count_turns(verdict.trace)
        exchange.conclude(verdicts)
        return verdicts

    async def examine(self, exchange: Exchange, row: Row) -> Verdict:
        """Let the squad correct a response (`examine_all`)."""
        skip = row.skip or self.too_long(row.question, row.response)
        if skip is not None or row.response is None:
            verdict = Verdict("skipped", skip or "", row.response, row.response)
        else:
            try:
                found = await self.squad.correct(row.question, row.response)
            except SquadFailure as failure:
                verdict = self.failed(exchange, row, failure)
            else:
                verdict = Verdict(
                    found["action"],
                    found["reason"],
                    row.response,
                    found["text"],
                    found["scores"],
                    found["trace"],
                )
        verdict = replace(verdict, index=row.index)
        if self.text_log is not None and row.response:
            self.text_log.write(exchange.id, row.question, verdict)
        return verdict

    def too_long(self, question: str, response: str | None) -> str | None:
        """Return the reason to skip a row with a very long text, or None.

        The inspectors need seconds for each 100,000 characters, and meanwhile score nothing else.
        """
        if len(question) > self.options.max_characters:
            return QUESTION_TOO_LONG
        return TOO_LONG if len(response or "") > self.options.max_characters else None

    def failed(self, exchange: Exchange, row: Row, failure: SquadFailure) -> Verdict:
        """Return the response unchanged, if the client wants it when the squad fails.

        Raises:
            ApiError: the client wants no answer then.
        """
        mode = exchange.wishes.on_error
        self.metrics.failures.labels(mode, failure.cause).inc()
        logger.warning(
            "request %s: the squad failed (%s): %s%s",
            exchange.id,
            failure.cause,
            failure,
            f" [{failure.criterion}]" if failure.criterion else "",
        )
        if mode == "refuse":
            raise self.refusal(exchange, failure)
        return Verdict("failed", failure.cause, row.response, row.response)

    def refusal(self, exchange: Exchange, failure: SquadFailure) -> ApiError:
        """Return the error of a response that the squad failed to examine."""
        exchange.action, exchange.reason = "refused", failure.cause
        of_criterion = f" (criterion {failure.criterion})" if failure.criterion else ""
        wait = self.squad.wait_seconds() if failure.cause == OVERLOAD else 1
        return ApiError(
            503,
            f"the squad could not examine the response{of_criterion}: {failure}; no answer is "
            "given, because on-error is refuse",
            failure.cause,
            SERVER,
            headers={"retry-after": str(wait)},
        )


def service_of(request: Request) -> Service:
    """Return the service of the app that got a request."""
    service: Service = request.app.state.service
    return service


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
