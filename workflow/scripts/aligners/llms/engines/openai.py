"""The `openai` engine: any server that speaks OpenAI's API, asked by many requests at once.

Requests run side by side without a barrier between them. A server that asks to slow down (429)
slows all of them; a faulty reply is asked for again later while others go on; what no repetition
can mend stops the job with a message.
"""

import asyncio
import json
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
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

from aligners.core.completions import (
    CHARACTERS_PER_TOKEN,
    Cause,
    Completion,
    Decoding,
    Engine,
    Failure,
    Request,
    before_stop,
)
from aligners.core.errors import UserError
from aligners.core.rows import row_id
from aligners.llms.engines.pacing import Pacer, retry_after

for noisy in ("httpx2", "httpcore2", "openai"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

Result = Completion | Failure

# The longest wait before the second attempt, doubled before each further one, and the longest.
FIRST_WAIT, LONGEST_WAIT = 0.05, 60.0
# Attempts of one request after which an endpoint that never answered counts as down.
DOWN_AFTER = 5
# Requests waiting for their next attempt hold no connection; this many times as many are under way.
UNDER_WAY = 2
# Words by which servers say that a prompt is too long; they have no common code for it.
TOO_LONG = ("context_length", "context length", "maximum context", "context size", "too long")
LONGEST_MESSAGE = 300
SEED_BITS = 31
# Replies refused, or without what was asked for, before the first good one at which the recipe is
# taken to be wrong.
REFUSED_AT_FIRST = 3


def load(recipe: dict[str, Any]) -> Engine:
    """Return the engine for a recipe with an `endpoint` and a `model`.

    Raises:
        UserError: the environment lacks the key.
    """
    return Endpoint(recipe, read_key(recipe)).complete


def read_key(recipe: dict[str, Any]) -> str:
    """Return the key that the recipe's `key_variable` names; a server without keys takes any."""
    variable = recipe.get("key_variable")
    if variable is None:
        return "none"
    key = os.environ.get(variable, "").strip()
    if not key:
        raise UserError(
            f"{recipe['endpoint']} needs a key: set {variable} in the environment, "
            "or mend key_variable in the recipe"
        )
    return key


class Faulty(Exception):
    """A reply that is worth another attempt, or a request that the server refuses."""

    def __init__(self, cause: Cause, message: str):
        """Keep the cause for the counts."""
        super().__init__(message)
        self.cause: Cause = cause


class Refused(Faulty):
    """A request that the server will refuse again."""


class Endpoint:
    """A server, and what all requests to it share."""

    def __init__(
        self,
        recipe: dict[str, Any],
        key: str,
        trust_environment: bool = True,
        check_server: Callable[[], None] = lambda: None,
    ):
        """Prepare to ask; nothing is sent yet.

        Args:
            recipe: of an LLM, with the keys of the openai engine.
            key: what the server knows the user by; never shown.
            trust_environment: whether proxies named in the environment are used.
            check_server: called when a connection breaks; may raise a UserError to give up.
        """
        self.recipe, self.key = recipe, key
        self.concurrency: int = recipe["concurrency"]
        self.pacer = Pacer(recipe.get("requests_per_minute"), recipe.get("tokens_per_minute"))
        self.answered = self.completed = False
        self.refused = 0
        self.trust_environment, self.check_server = trust_environment, check_server

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
        """Yield the results that have come since the last, as lists that are not empty."""
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
            arrived.put_nowait(await self.attempt(client, slots, request, decoding))
            room.release()

        try:
            async with self.client() as client, asyncio.TaskGroup() as group:
                for request in requests:
                    await room.acquire()
                    group.create_task(attend(request, client))
        finally:
            arrived.put_nowait(None)

    def client(self) -> openai.AsyncOpenAI:
        """Return the SDK's client; repetition and time limits are ours."""
        return openai.AsyncOpenAI(
            base_url=self.recipe["endpoint"],
            api_key=self.key,
            max_retries=0,
            timeout=None,
            # Over aiohttp, which closes a connection on which more came than the reply: the default
            # transport would take it for the reply to the next request.
            http_client=openai.DefaultAioHttpClient(
                limits=httpx2.Limits(
                    max_connections=self.concurrency, max_keepalive_connections=self.concurrency
                ),
                trust_env=self.trust_environment,
            ),
        )

    async def attempt(
        self,
        client: openai.AsyncOpenAI,
        slots: asyncio.Semaphore,
        request: Request,
        decoding: Decoding,
    ) -> Result:
        """Ask until there is a completion, or the attempts of the recipe are used up."""
        started = time.monotonic()
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Faulty) & retry_if_not_exception_type(Refused),
            wait=wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT),
            stop=stop_after_attempt(self.recipe["attempts"]),
            reraise=True,
        )
        try:
            async for attempt in retrying:
                number = attempt.retry_state.attempt_number
                with attempt:
                    reply = await self.ask(client, slots, request, decoding, number)
        except Faulty as fault:
            return Failure(request.id, fault.cause, str(fault))
        self.completed = True
        seconds = round(time.monotonic() - started, 3)
        return Completion(request.id, **reply, seconds=seconds, attempts=number)

    async def ask(
        self,
        client: openai.AsyncOpenAI,
        slots: asyncio.Semaphore,
        request: Request,
        decoding: Decoding,
        number: int,
    ) -> dict[str, Any]:
        """Return what one reply tells of a completion; waiting for a turn is no attempt."""
        chat = self.recipe["chat"]
        create = client.chat.completions if chat else client.completions
        options = self.options(request, decoding)
        tokens = len(str(request.prompt)) / CHARACTERS_PER_TOKEN + decoding.max_new_tokens
        while True:
            async with slots:
                await self.pacer.turn(tokens)
                try:
                    async with asyncio.timeout(self.recipe["timeout_seconds"]):
                        response = await create.with_raw_response.create(**options)
                except openai.RateLimitError as error:
                    self.slow_down(error)
                    continue
                except TimeoutError:
                    limit = self.recipe["timeout_seconds"]
                    raise Faulty("timeout", f"no reply within {limit} seconds") from None
                except openai.APIConnectionError as error:
                    raise self.connection_fault(error, number) from None
                except openai.APIStatusError as error:
                    raise self.status_fault(error) from None
            self.answered = True
            self.pacer.succeeded()
            reply = read_reply(response.content, chat, decoding, request)
            if decoding.top_logprobs and reply["first_token_logprobs"] is None:
                raise self.refusal(
                    "the reply holds no log-probabilities of tokens",
                    f"{self.recipe['endpoint']}: the replies hold no log-probabilities of tokens; "
                    "ask a server that gives them, or set logprobs: false in the judge's recipe",
                )
            return reply

    def options(self, request: Request, decoding: Decoding) -> dict[str, Any]:
        """Return the parameters of a request; what OpenAI's API does not know goes as extra."""
        prompt: Any = request.prompt
        if self.recipe["chat"] and isinstance(prompt, str):
            prompt = [{"role": "user", "content": prompt}]
        extra = dict(self.recipe["extra"])
        if decoding.repetition_penalty != 1.0:
            extra["repetition_penalty"] = decoding.repetition_penalty
        seed = int(row_id(str(decoding.seed), request.id), 16) % (1 << SEED_BITS)
        return {
            "messages" if self.recipe["chat"] else "prompt": prompt,
            "model": self.recipe["model"],
            self.recipe["limit_parameter"]: decoding.max_new_tokens,
            "temperature": decoding.temperature,
            "seed": seed,
            **({"stop": list(decoding.stop)} if decoding.stop else {}),
            **({"logprobs": True, "top_logprobs": top} if (top := decoding.top_logprobs) else {}),
            "extra_body": extra,
        }

    def slow_down(self, error: openai.RateLimitError) -> None:
        """Pause all requests, unless waiting will not help."""
        self.answered = True
        if error.code == "insufficient_quota":
            raise UserError(
                f"{self.recipe['endpoint']}: the account has no credit left; add some, "
                "then run again: what was completed is kept"
            )
        self.pacer.pause(retry_after(error.response.headers))

    def connection_fault(self, error: openai.APIConnectionError, number: int) -> Exception:
        """Return what a broken connection means: a fault, or that there is no server."""
        self.check_server()
        if not self.answered and number >= DOWN_AFTER:
            return UserError(
                f"{self.recipe['endpoint']} cannot be reached ({self.shown(error.__cause__)}); "
                "start the server, or mend the key endpoint of the recipe"
            )
        return Faulty("connection", f"the connection broke: {self.shown(error.__cause__)}")

    def status_fault(self, error: openai.APIStatusError) -> Exception:
        """Return what an error status means: a fault, a refused request, or the end of the job."""
        self.answered = True
        status, message = error.status_code, self.shown(error.message)
        where = f"{self.recipe['endpoint']} (HTTP {status})"
        if status in (401, 403):
            return UserError(f"{where} refuses the key; {self.key_advice()}")
        if status == 404 or error.code == "model_not_found":
            return UserError(
                f"{where} has no model {self.recipe['model']}: {message}. Mend the key model of "
                "the recipe, or endpoint, which most often ends in /v1"
            )
        if status >= 500 or status in (408, 409):
            return Faulty("server_error", f"HTTP {status}: {message}")
        if any(words in message.lower() for words in TOO_LONG):
            return Refused("prompt_too_long", f"the prompt does not fit the context: {message}")
        return self.refusal(
            f"HTTP {status}: {message}",
            f"{where} refuses the requests: {message}. Mend the recipe: "
            "the keys chat, extra and limit_parameter, and those of the decoding",
        )

    def refusal(self, message: str, advice: str) -> Exception:
        """Return what a request that cannot be answered means: it alone, or the end of the job."""
        self.refused += 1
        if not self.completed and self.refused >= REFUSED_AT_FIRST:
            return UserError(advice)
        return Refused("refused", message)

    def key_advice(self) -> str:
        """Say what to do about a key that is refused."""
        if variable := self.recipe.get("key_variable"):
            return f"set {variable} in the environment to one that it takes"
        return "name the environment's variable that holds one as key_variable in the recipe"

    def shown(self, message: object) -> str:
        """Return a message fit to be shown: short, and without the key, should a server echo it."""
        text = " ".join(str(message).replace(self.key, "***").split())
        return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}…"


def read_reply(content: bytes, chat: bool, decoding: Decoding, request: Request) -> dict[str, Any]:
    """Return the fields of a completion that a reply's body tells.

    Tokens are estimated by characters where the server does not count them.

    Raises:
        Faulty: the body is not what the API promises.
        Refused: a filter of the server held the text back.
    """
    try:
        reply = json.loads(content)
        choice = reply["choices"][0]
        text = (choice["message"]["content"] if chat else choice["text"]) or ""
        finish = choice.get("finish_reason")
        logprobs = first_token_logprobs(choice) if decoding.top_logprobs else None
        served_model = reply.get("model")
        usage = reply.get("usage") or {}
        if not isinstance(text, str):
            raise TypeError
        tokens_in = int(usage.get("prompt_tokens", len(str(request.prompt)) / CHARACTERS_PER_TOKEN))
        tokens_out = int(usage.get("completion_tokens", len(text) / CHARACTERS_PER_TOKEN))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise Faulty("bad_reply", "the reply holds no completion") from None
    if finish == "content_filter":
        raise Refused("refused", "the server's filter held the completion back")
    before = before_stop(text, decoding.stop)
    return {
        "text": text if before is None else before,
        "finish": "length" if finish == "length" and before is None else "stop",
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "served_model": served_model if isinstance(served_model, str) else None,
        "first_token_logprobs": logprobs,
    }


def first_token_logprobs(choice: dict[str, Any]) -> dict[str, float] | None:
    """Return the log-probabilities of a chat completion's likeliest first tokens; None without."""
    try:
        top = choice["logprobs"]["content"][0]["top_logprobs"]
        return {str(one["token"]): float(one["logprob"]) for one in top}
    except (LookupError, TypeError, ValueError):
        return None
