"""Sends the requests of a call to a server: attempts, waits, and the check of rejections."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import openai
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from aligners.configuration.kinds.llms import ServerRecipe
from aligners.core.completions import (
    Completion,
    Decoding,
    Failure,
    Request,
)
from aligners.core.errors import UserError
from aligners.llms.engines.errors import (
    SUSPICIOUS,
    AttemptError,
    ErrorMapper,
    ErrorReply,
    RejectedError,
)
from aligners.llms.engines.pacing import LOG_EVERY, Pacer, retry_after
from aligners.llms.engines.replies import read_reply
from aligners.llms.engines.request_parameters import request_parameters

logger = logging.getLogger(__name__)

Result = Completion | Failure
# Sends one request with all its options.
Post = Callable[[], Awaitable[Any]]

# Maximum seconds before the second attempt, doubled before each further attempt up to the limit.
FIRST_WAIT, LONGEST_WAIT = 0.05, 60.0
# A question that no server has a reason to reject.
HARMLESS = Request("harmless", "What is the capital of France?")


def harmless_like(request: Request) -> Request:
    """Return a request with a harmless prompt: in token ids if the request has them.

    Its first token, of a start or of a template, is as harmless as a question.
    """
    return replace(HARMLESS, token_ids=request.token_ids[:1])


@dataclass
class Server:
    """A server, with the state that all the requests to it share.

    Attributes:
        recipe: of the LLM on the server.
        url: of the API.
        pacer: keeps to the limits on requests and tokens.
        errors: turns errors into messages.
        rejected: rejections since the last completion.
        log_at: time before which no further failure is logged.
    """

    recipe: ServerRecipe
    url: str
    pacer: Pacer
    errors: ErrorMapper
    rejected: int = 0
    log_at: float = 0.0


class Sender:
    """Sends the requests of one call of an engine."""

    def __init__(self, server: Server, client: openai.AsyncOpenAI, decoding: Decoding):
        """Start without a request in progress."""
        self.server, self.client, self.decoding = server, client, decoding
        self.recipe, self.errors, self.pacer = server.recipe, server.errors, server.pacer
        self.connections = asyncio.Semaphore(server.recipe.concurrency)
        self.checking = asyncio.Lock()

    async def complete(self, request: Request) -> Result:
        """Send a request until it has a completion or cannot get one; return the result.

        Raises:
            UserError: no request to this server can succeed.
        """
        started = time.monotonic()
        try:
            reply, attempts = await self.reply(request)
        except AttemptError as error:
            if isinstance(error, RejectedError):
                await self.check_rejection(error, harmless_like(request))
            return Failure(request.id, error.cause, self.errors.redact(error))
        self.server.rejected = 0
        seconds = round(time.monotonic() - started, 3)
        return Completion(request.id, **reply, seconds=seconds, attempts=attempts)

    async def check_rejection(self, error: RejectedError, harmless: Request) -> None:
        """After several rejections in a row, check that the server does not reject all requests.

        The questions of a harm suite can be rejected one after the other. So a harmless question
        decides whether the requests or the recipe are at fault.

        Raises:
            UserError: the server rejects the harmless question as well.
        """
        if error.advice is None:
            return
        self.server.rejected += error.weight
        async with self.checking:
            if self.server.rejected < SUSPICIOUS:
                return
            try:
                await self.reply(harmless)
            except RejectedError as same:
                if same.advice is not None:
                    raise UserError(same.advice) from None
            except AttemptError:
                pass
            self.server.rejected = 0

    async def reply(self, request: Request) -> tuple[dict[str, Any], int]:
        """Send a request up to the recipe's `attempts`; return the reply's fields and attempts.

        Raises:
            AttemptError: the last attempt failed, or all took longer than `request_seconds`.
            UserError: no request to this server can succeed.
        """
        limit = self.recipe.request_seconds
        try:
            async with asyncio.timeout(limit) as time_limit:
                return await self.reply_at_last(request, time_limit.when())
        except TimeoutError:
            raise AttemptError(
                "timeout", f"no completion within {limit:g} seconds (request_seconds)"
            ) from None

    async def reply_at_last(
        self, request: Request, deadline: float | None
    ) -> tuple[dict[str, Any], int]:
        """Send a request until it has a reply (`reply`); the caller ends it at the deadline."""
        create = self.client.chat.completions if self.recipe.chat else self.client.completions
        post = partial(
            create.with_raw_response.create,
            **request_parameters(self.recipe, self.decoding, request),
        )
        tokens = request.estimated_tokens + request.limit(self.decoding)
        async for attempt in self.attempts():
            number = attempt.retry_state.attempt_number
            with attempt:
                body = await self.send_in_turn(post, tokens, number, deadline)
                reply = self.read(body, request)
        return reply, number

    def read(self, body: bytes, request: Request) -> dict[str, Any]:
        """Return the fields of a completion that are in the body of a reply.

        Raises:
            AttemptError: there is no completion in it.
            UserError: no request to this server can succeed.
        """
        try:
            reply = read_reply(body, self.recipe.chat, self.decoding, request)
        except ErrorReply as error:
            raise self.errors.from_error_reply(error) from None
        if self.decoding.top_logprobs and reply["first_token_logprobs"] is None:
            raise self.errors.missing_logprobs()
        return reply

    async def send_in_turn(
        self, post: Post, tokens: float, attempt: int, deadline: float | None
    ) -> bytes:
        """Send a request when a connection is free and the limits allow it.

        After a 429, it is sent again. This does not count as an attempt.
        """
        while True:
            async with self.connections:
                await self.pacer.wait_for_turn(tokens, deadline)
                body = await self.send(post, attempt)
            if body is not None:
                return body

    async def send(self, post: Post, attempt: int) -> bytes | None:
        """Send a request once and return the body of the reply, or None after a 429.

        Raises:
            AttemptError: the attempt failed.
            UserError: no request to this server can succeed.
        """
        limit = self.recipe.timeout_seconds
        try:
            async with asyncio.timeout(limit):
                response = await post()
        except openai.RateLimitError as error:
            self.errors.check_credit(error)
            wait = retry_after(error.response.headers)
            if not self.pacer.pause(wait, self.errors.slow_down(error)):
                raise self.errors.from_rate_limit(error) from None
            return None
        except TimeoutError:
            raise AttemptError("timeout", f"no reply within {limit} seconds") from None
        except openai.APIConnectionError as error:
            raise self.errors.from_connection_error(error, attempt) from None
        except openai.APIStatusError as error:
            raise self.errors.from_status_error(error) from None
        self.errors.replied = True
        self.pacer.reset_pause()
        return response.content

    def attempts(self) -> AsyncRetrying:
        """Return an iterator over the recipe's attempts, with random exponential waits between."""
        return AsyncRetrying(
            retry=retry_if_exception_type(AttemptError)
            & retry_if_not_exception_type(RejectedError),
            wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            stop=stop_after_attempt(self.recipe.attempts),
            before_sleep=self.log_failure,
            reraise=True,
        )

    def log_failure(self, state: RetryCallState) -> None:
        """Log that an attempt failed, if nothing was logged for some minutes."""
        now = time.monotonic()
        if now < self.server.log_at or state.outcome is None:
            return
        self.server.log_at = now + LOG_EVERY
        logger.warning(
            "%s: attempt %d of %d of a request failed (%s); it is sent again",
            self.server.url,
            state.attempt_number,
            self.recipe.attempts,
            self.errors.redact(state.outcome.exception()),
        )
