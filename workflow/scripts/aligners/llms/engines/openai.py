"""The `openai` engine: sends many requests at once to any server with OpenAI's API.

HTTP status 429 pauses all requests. After any other error (errors.py), the request is sent again
while the other requests continue, or fails if the server rejects it. The job stops if the server
rejects all requests.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import httpx2
import openai
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    retry_if_not_exception_type,
    stop_after_attempt,
    wait_random_exponential,
)

from aligners.configuration.kinds.llms import OpenAIRecipe, ServerRecipe
from aligners.core.completions import (
    CHARACTERS_PER_TOKEN,
    Completion,
    Decoding,
    Engine,
    Failure,
    Request,
)
from aligners.core.errors import UserError
from aligners.core.rows import row_id
from aligners.llms.engines.errors import (
    NO_KEY,
    SUSPICIOUS,
    AttemptError,
    ErrorMapper,
    ErrorReply,
    RejectedError,
)
from aligners.llms.engines.pacing import LOG_EVERY, Pacer, retry_after
from aligners.llms.engines.parameter_checks import TextOf, check_parameters
from aligners.llms.engines.replies import read_reply

logger = logging.getLogger(__name__)
for noisy in ("httpx2", "httpcore2", "openai"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

Result = Completion | Failure
# Sends one request with all its options.
Post = Callable[[], Awaitable[Any]]

# Maximum seconds before the second attempt, doubled before each further attempt up to the limit.
FIRST_WAIT, LONGEST_WAIT = 0.05, 60.0
# More than one, because a request that waits for its next attempt uses no connection.
REQUESTS_PER_CONNECTION = 2
SEED_BITS = 31
# A question that no server has a reason to reject.
HARMLESS = Request("harmless", "What is the capital of France?")


def load(recipe: OpenAIRecipe) -> Engine:
    """Return the engine for a recipe with an `endpoint` and a `model`.

    Raises:
        UserError: the environment variable with the API key is not set, or has no valid key.
    """
    return Endpoint(recipe, recipe.endpoint, read_key(recipe)).complete


def read_key(recipe: OpenAIRecipe) -> str:
    """Return the API key from the environment variable that the recipe names, or NO_KEY."""
    variable = recipe.key_variable
    if variable is None:
        return NO_KEY
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"{recipe.endpoint}: the API key is missing; set the environment variable {variable}, "
            "or correct key_variable in the recipe"
        )
    if not (key.isascii() and key.isprintable()):
        raise UserError(
            f"{recipe.endpoint}: the API key has a character that HTTP cannot send; correct the "
            f"environment variable {variable}"
        )
    return key


def response_format(fields: Sequence[str]) -> dict[str, Any]:
    """Return the parameter that demands a JSON object with these fields; none without fields."""
    if not fields:
        return {}
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in fields},
        "required": list(fields),
        "additionalProperties": False,
    }
    named = {"name": "parts", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


class Endpoint:
    """A client of one server, with the state that all its requests share."""

    def __init__(
        self,
        recipe: ServerRecipe,
        url: str,
        key: str,
        trust_environment: bool = True,
        check_server: Callable[[], None] = lambda: None,
    ):
        """Initialise the state without sending a request.

        Args:
            recipe: recipe of an LLM on a server.
            url: URL of the API.
            key: API key. No message contains it.
            trust_environment: whether to use the proxies that environment variables name.
            check_server: called when a connection fails. It may raise a UserError to stop the job.
        """
        self.recipe, self.url, self.key = recipe, url, key
        self.concurrency = recipe.concurrency
        self.pacer = Pacer(
            recipe.requests_per_minute, recipe.tokens_per_minute, recipe.longest_wait_seconds
        )
        self.errors = ErrorMapper(recipe, url, key, check_server)
        self.trust_environment = trust_environment
        self.rejected = 0
        self.log_at = 0.0
        self.checked: set[Decoding] = set()

    def complete(self, requests: Iterable[Request], decoding: Decoding) -> Iterator[Result]:
        """Yield completions and failures as they arrive.

        Raises:
            UserError: the server cannot be reached, or rejects the key, the model or all requests.
        """
        with asyncio.Runner() as runner:
            loop = runner.get_loop()
            stream = self.stream(requests, decoding)
            try:
                while True:
                    yield from loop.run_until_complete(anext(stream))
            except StopAsyncIteration:
                pass
            finally:
                loop.run_until_complete(stream.aclose())

    async def stream(
        self, requests: Iterable[Request], decoding: Decoding
    ) -> AsyncGenerator[list[Result], None]:
        """Yield non-empty lists of the results that have arrived since the last list."""
        arrived: asyncio.Queue[Result | None] = asyncio.Queue()
        producer = asyncio.create_task(self.complete_all(requests, decoding, arrived))
        try:
            more = True
            while more:
                batch = [await arrived.get()]
                while not arrived.empty():
                    batch.append(arrived.get_nowait())
                more = batch[-1] is not None
                if results := [result for result in batch if result is not None]:
                    yield results
            await producer
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            producer.cancel()
            await asyncio.gather(producer, return_exceptions=True)

    async def complete_all(
        self,
        requests: Iterable[Request],
        decoding: Decoding,
        arrived: asyncio.Queue[Result | None],
    ) -> None:
        """Put the result of each request into the queue, and None at the end."""
        in_progress = asyncio.Semaphore(REQUESTS_PER_CONNECTION * self.concurrency)

        async def text_of(prompt: str, probe: Decoding) -> str:
            reply, _ = await Sender(self, client, probe).reply(Request("probe", prompt))
            return f"{reply['thoughts'] or ''}{reply['text']}"

        async def complete_one(request: Request, sender: Sender) -> None:
            arrived.put_nowait(await sender.complete(request))
            in_progress.release()

        try:
            async with self.client() as client, asyncio.TaskGroup() as group:
                sender = Sender(self, client, decoding)
                await self.check_parameters(decoding, text_of)
                for request in requests:
                    await in_progress.acquire()
                    group.create_task(complete_one(request, sender))
        finally:
            arrived.put_nowait(None)

    async def check_parameters(self, decoding: Decoding, text_of: TextOf) -> None:
        """Check once for each decoding that the server uses the parameters it may not know.

        Raises:
            UserError: it ignores one of them.
        """
        if decoding in self.checked:
            return
        self.checked.add(decoding)
        try:
            await check_parameters(self.url, self.recipe, decoding, text_of)
        except AttemptError as error:
            logger.warning(
                "%s: could not check whether the server uses each parameter (%s)",
                self.url,
                self.errors.redact(error),
            )

    def client(self) -> openai.AsyncOpenAI:
        """Return the SDK's client without its retries and time limits.

        Raises:
            UserError: an environment variable names a proxy that cannot be used.
        """
        try:
            # Each request has a connection of its own. If a server or a proxy sends a reply twice,
            # the second copy would otherwise be read as the reply to the next request.
            http_client = openai.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(max_connections=self.concurrency, max_keepalive_connections=0),
                trust_env=self.trust_environment,
            )
        except (ValueError, httpx2.InvalidURL) as error:
            raise UserError(
                f"{self.url}: {error}; correct the environment variable that names the proxy "
                "(HTTP_PROXY, HTTPS_PROXY or ALL_PROXY)"
            ) from None
        return openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self.key,
            max_retries=0,
            timeout=None,
            http_client=http_client,
        )


class Sender:
    """Sends the requests of one call of `Endpoint.complete`."""

    def __init__(self, endpoint: Endpoint, client: openai.AsyncOpenAI, decoding: Decoding):
        """Start without a request in progress."""
        self.endpoint, self.client, self.decoding = endpoint, client, decoding
        self.recipe, self.errors, self.pacer = endpoint.recipe, endpoint.errors, endpoint.pacer
        self.connections = asyncio.Semaphore(endpoint.concurrency)
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
                await self.check_rejection(error)
            return Failure(request.id, error.cause, self.errors.redact(error))
        self.endpoint.rejected = 0
        seconds = round(time.monotonic() - started, 3)
        return Completion(request.id, **reply, seconds=seconds, attempts=attempts)

    async def check_rejection(self, error: RejectedError) -> None:
        """After several rejections in a row, check that the server does not reject all requests.

        The questions of a harm suite can be rejected one after the other. So a harmless question
        decides whether the requests or the recipe are at fault.

        Raises:
            UserError: the server rejects the harmless question as well.
        """
        if error.advice is None:
            return
        self.endpoint.rejected += error.weight
        async with self.checking:
            if self.endpoint.rejected < SUSPICIOUS:
                return
            try:
                await self.reply(HARMLESS)
            except RejectedError as same:
                if same.advice is not None:
                    raise UserError(same.advice) from None
            except AttemptError:
                pass
            self.endpoint.rejected = 0

    async def reply(self, request: Request) -> tuple[dict[str, Any], int]:
        """Send a request up to the recipe's `attempts`; return the reply's fields and attempts.

        Raises:
            AttemptError: the last attempt failed.
            UserError: no request to this server can succeed.
        """
        create = self.client.chat.completions if self.recipe.chat else self.client.completions
        post = partial(create.with_raw_response.create, **self.options(request))
        length = len(str(request.prompt)) / CHARACTERS_PER_TOKEN
        async for attempt in self.attempts():
            number = attempt.retry_state.attempt_number
            with attempt:
                body = await self.send_in_turn(post, length + self.decoding.max_new_tokens, number)
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

    async def send_in_turn(self, post: Post, tokens: float, attempt: int) -> bytes:
        """Send a request when a connection is free and the limits allow it.

        After a 429, it is sent again. This does not count as an attempt.
        """
        while True:
            async with self.connections:
                await self.pacer.wait_for_turn(tokens)
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

    def options(self, request: Request) -> dict[str, Any]:
        """Return a request's parameters; `extra_body` has those that are not in OpenAI's API."""
        prompt: Any = request.prompt
        decoding = self.decoding
        if self.recipe.chat and isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        left_out = self.recipe.leave_out or ()
        parameters = {
            "temperature": decoding.temperature,
            "seed": int(row_id(str(decoding.seed), request.id), 16) % (1 << SEED_BITS),
            **({"stop": list(decoding.stop)} if decoding.stop else {}),
            **({"top_p": decoding.top_p} if decoding.top_p is not None else {}),
            **({"logprobs": True, "top_logprobs": top} if (top := decoding.top_logprobs) else {}),
        }
        return {
            "messages" if self.recipe.chat else "prompt": prompt,
            **response_format(decoding.json_fields),
            "model": self.recipe.model,
            self.recipe.limit_parameter: decoding.max_new_tokens,
            **{name: value for name, value in parameters.items() if name not in left_out},
            "extra_body": self.extra_parameters(),
        }

    def extra_parameters(self) -> dict[str, Any]:
        """Return the parameters that are not in OpenAI's API: of the decoding and of the recipe."""
        recipe, decoding = self.recipe, self.decoding
        extra = dict(recipe.extra)
        if decoding.repetition_penalty != 1.0:
            extra[recipe.penalty_parameter] = decoding.repetition_penalty
        if decoding.top_k is not None and "top_k" not in (recipe.leave_out or ()):
            extra["top_k"] = decoding.top_k
        if recipe.template_options:
            extra["chat_template_kwargs"] = recipe.template_options
        return extra

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
        if now < self.endpoint.log_at or state.outcome is None:
            return
        self.endpoint.log_at = now + LOG_EVERY
        logger.warning(
            "%s: attempt %d of %d of a request failed (%s); it is sent again",
            self.endpoint.url,
            state.attempt_number,
            self.recipe.attempts,
            self.errors.redact(state.outcome.exception()),
        )
