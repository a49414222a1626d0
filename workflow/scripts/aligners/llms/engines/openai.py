"""The `openai` engine: sends many requests at once to any server with OpenAI's API.

HTTP status 429 pauses all requests. Any other fault (faults.py) is retried while the other requests
continue, or stops the job if no retry can succeed.
"""

import asyncio
import logging
import os
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator
from functools import partial
from typing import Any

import httpx2
import openai
from tenacity import (
    AsyncRetrying,
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
from aligners.llms.engines.faults import Faults, Faulty, Refused
from aligners.llms.engines.pacing import Pacer, retry_after
from aligners.llms.engines.replies import read_reply

for noisy in ("httpx2", "httpcore2", "openai"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

Result = Completion | Failure
# Sends a request that is complete with all its options.
Post = Callable[[], Awaitable[Any]]

# Longest wait before the second attempt, doubled before each further one; and the limit of that.
FIRST_WAIT, LONGEST_WAIT = 0.05, 60.0
# Requests in progress per connection: those that wait for their next attempt need none.
UNDER_WAY = 2
SEED_BITS = 31


def load(recipe: OpenAIRecipe) -> Engine:
    """Return the engine for a recipe with an `endpoint` and a `model`.

    Raises:
        UserError: the environment lacks the key.
    """
    return Endpoint(recipe, recipe.endpoint, read_key(recipe)).complete


def read_key(recipe: OpenAIRecipe) -> str:
    """Return the key that the recipe's `key_variable` names; a server without keys takes any."""
    variable = recipe.key_variable
    if variable is None:
        return "none"
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"{recipe.endpoint} needs a key: set {variable} in the environment, "
            "or mend key_variable in the recipe"
        )
    return key


class Endpoint:
    """A server, and the state that all requests to it share."""

    def __init__(
        self,
        recipe: ServerRecipe,
        url: str,
        key: str,
        trust_environment: bool = True,
        check_server: Callable[[], None] = lambda: None,
    ):
        """Prepare the state; nothing is sent yet.

        Args:
            recipe: of an LLM on a server.
            url: of the API.
            key: API key; no message contains it.
            trust_environment: whether to use the proxies that the environment names.
            check_server: called when a connection breaks; may raise a UserError to give up.
        """
        self.recipe, self.url, self.key = recipe, url, key
        self.concurrency = recipe.concurrency
        self.pacer = Pacer(recipe.requests_per_minute, recipe.tokens_per_minute)
        self.faults = Faults(recipe, url, key, check_server)
        self.trust_environment = trust_environment

    def complete(self, requests: Iterable[Request], decoding: Decoding) -> Iterator[Result]:
        """Yield completions and failures as they come.

        Raises:
            UserError: the server cannot be reached, or refuses the key, the model or any request.
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
        """Yield lists of the results that have arrived since the last list; none is empty."""
        arrived: asyncio.Queue[Result | None] = asyncio.Queue()
        asking = asyncio.create_task(self.ask_all(requests, decoding, arrived))
        try:
            more = True
            while more:
                batch = [await arrived.get()]
                while not arrived.empty():
                    batch.append(arrived.get_nowait())
                more = batch[-1] is not None
                if results := [result for result in batch if result is not None]:
                    yield results
            await asking
        except ExceptionGroup as group:
            raise group.exceptions[0] from None
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    async def ask_all(
        self,
        requests: Iterable[Request],
        decoding: Decoding,
        arrived: asyncio.Queue[Result | None],
    ) -> None:
        """Put the result of each request into the queue, and None at the end."""
        slots = asyncio.Semaphore(self.concurrency)
        room = asyncio.Semaphore(UNDER_WAY * self.concurrency)

        async def attend(request: Request, client: openai.AsyncOpenAI) -> None:
            arrived.put_nowait(await self.ask(client, slots, request, decoding))
            room.release()

        try:
            async with self.client() as client, asyncio.TaskGroup() as group:
                for request in requests:
                    await room.acquire()
                    group.create_task(attend(request, client))
        finally:
            arrived.put_nowait(None)

    def client(self) -> openai.AsyncOpenAI:
        """Return the SDK's client, without its own retries and time limits."""
        return openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self.key,
            max_retries=0,
            timeout=None,
            # If a server sends more than one reply, aiohttp closes the connection. The default
            # transport reads the rest as the reply to the next request.
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(
                    max_connections=self.concurrency, max_keepalive_connections=self.concurrency
                ),
                trust_env=self.trust_environment,
            ),
        )

    async def ask(
        self,
        client: openai.AsyncOpenAI,
        slots: asyncio.Semaphore,
        request: Request,
        decoding: Decoding,
    ) -> Result:
        """Send a request until there is a completion or the recipe's attempts are used up."""
        started = time.monotonic()
        create = client.chat.completions if self.recipe.chat else client.completions
        post = partial(create.with_raw_response.create, **self.options(request, decoding))
        tokens = len(str(request.prompt)) / CHARACTERS_PER_TOKEN + decoding.max_new_tokens
        try:
            async for attempt in attempts(self.recipe.attempts):
                number = attempt.retry_state.attempt_number
                with attempt:
                    body = await self.send_in_turn(post, slots, tokens, number)
                    reply = read_reply(body, self.recipe.chat, decoding, request)
                    if decoding.top_logprobs and reply["first_token_logprobs"] is None:
                        raise self.faults.of_logprobs()
        except Faulty as fault:
            return Failure(request.id, fault.cause, str(fault))
        self.faults.completed = True
        seconds = round(time.monotonic() - started, 3)
        return Completion(request.id, **reply, seconds=seconds, attempts=number)

    async def send_in_turn(
        self, post: Post, slots: asyncio.Semaphore, tokens: float, attempt: int
    ) -> bytes:
        """Send when a slot is free and the limits allow it; a 429 does not count as an attempt."""
        while True:
            async with slots:
                await self.pacer.turn(tokens)
                body = await self.send(post, attempt)
            if body is not None:
                return body

    async def send(self, post: Post, attempt: int) -> bytes | None:
        """Send a request once; return the reply's body, or None after a 429.

        Raises:
            Faulty: the attempt failed.
            UserError: no request to this server will succeed.
        """
        limit = self.recipe.timeout_seconds
        try:
            async with asyncio.timeout(limit):
                response = await post()
        except openai.RateLimitError as error:
            self.faults.check_credit(error)
            self.pacer.pause(retry_after(error.response.headers))
            return None
        except TimeoutError:
            raise Faulty("timeout", f"no reply within {limit} seconds") from None
        except openai.APIConnectionError as error:
            raise self.faults.of_connection(error, attempt) from None
        except openai.APIStatusError as error:
            raise self.faults.of_status(error) from None
        self.faults.answered = True
        self.pacer.succeeded()
        return response.content

    def options(self, request: Request, decoding: Decoding) -> dict[str, Any]:
        """Return a request's parameters; `extra_body` has those that OpenAI's API lacks."""
        prompt: Any = request.prompt
        if self.recipe.chat and isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        extra = dict(self.recipe.extra)
        if decoding.repetition_penalty != 1.0:
            extra["repetition_penalty"] = decoding.repetition_penalty
        seed = int(row_id(str(decoding.seed), request.id), 16) % (1 << SEED_BITS)
        return {
            "messages" if self.recipe.chat else "prompt": prompt,
            "model": self.recipe.model,
            self.recipe.limit_parameter: decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "seed": seed,
            **({"stop": list(decoding.stop)} if decoding.stop else {}),
            **({"logprobs": True, "top_logprobs": top} if (top := decoding.top_logprobs) else {}),
            "extra_body": extra,
        }


def attempts(most: int) -> AsyncRetrying:
    """Return an iterator over the attempts of a request, with random, growing waits between."""
    return AsyncRetrying(
        retry=retry_if_exception_type(Faulty) & retry_if_not_exception_type(Refused),
        wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
        stop=stop_after_attempt(most),
        reraise=True,
    )
