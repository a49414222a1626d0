"""The `openai` engine: sends many requests at once to any server with OpenAI's API.

HTTP status 429 pauses all requests. After any other error (errors.py), the request is sent again
while the other requests continue, or fails if the server rejects it. The job stops if the server
rejects all requests.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from concurrent.futures import Future

import httpx2
import openai

from aligners.configuration.kinds.llms import OpenAIRecipe, ServerRecipe
from aligners.core.api_keys import read_api_key
from aligners.core.completions import Decoding, Engine, Request
from aligners.core.errors import UserError
from aligners.core.http_environment import explained_environment
from aligners.llms.engines.errors import NO_KEY, AttemptError, ErrorMapper
from aligners.llms.engines.pacing import Pacer
from aligners.llms.engines.parameter_checks import IgnoredParameter, TextOf, check_parameters
from aligners.llms.engines.sender import Result, Sender, Server

logger = logging.getLogger(__name__)
for noisy in ("httpx2", "httpcore2", "openai"):
    logging.getLogger(noisy).setLevel(logging.WARNING)

# A check of the parameters, whose result is the error of one that the server ignores, or None.
Check = Future[UserError | None]

# More than one, because a request that waits for its next attempt uses no connection.
REQUESTS_PER_CONNECTION = 2


def load(recipe: OpenAIRecipe) -> Engine:
    """Return the engine for a recipe with an `endpoint` and a `model`.

    Raises:
        UserError: the environment variable with the API key is not set, or has no valid key.
    """
    return Endpoint(recipe, recipe.endpoint, read_key(recipe)).complete


def read_key(recipe: OpenAIRecipe) -> str:
    """Return the API key from the environment variable that the recipe names, or NO_KEY."""
    if recipe.key_variable is None:
        return NO_KEY
    return read_api_key(recipe.key_variable, f"{recipe.endpoint}, key_variable")


class Endpoint:
    """A client of one server, with the state that all its requests share."""

    def __init__(
        self,
        recipe: ServerRecipe,
        url: str,
        key: str,
        trust_environment: bool = True,
        check_server: Callable[[str | None], None] = lambda reason: None,
    ):
        """Initialise the state without sending a request.

        Args:
            recipe: recipe of an LLM on a server.
            url: URL of the API.
            key: API key. No message contains it.
            trust_environment: whether to use the proxies that environment variables name.
            check_server: called when a connection fails, with the reason if the server counts as
                down, and else None. It may raise a UserError to stop the job.
        """
        self.recipe, self.url, self.key = recipe, url, key
        pacer = Pacer(
            recipe.requests_per_minute, recipe.tokens_per_minute, recipe.longest_wait_seconds
        )
        errors = ErrorMapper(recipe, url, key, check_server)
        self.server = Server(recipe, url, pacer, errors)
        self.trust_environment = trust_environment
        # Made once: it reads all certificates, which takes longer than a call with one request.
        with explained_environment(url):
            self.certificates = httpx2.create_ssl_context(trust_env=trust_environment)
        self.checks: dict[Decoding, Check] = {}

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
        in_progress = asyncio.Semaphore(REQUESTS_PER_CONNECTION * self.recipe.concurrency)

        async def text_of(prompt: str, probe: Decoding) -> str:
            reply, _ = await Sender(self.server, client, probe).reply(Request("probe", prompt))
            return f"{reply['thoughts'] or ''}{reply['text']}"

        async def complete_one(request: Request, sender: Sender) -> None:
            arrived.put_nowait(await sender.complete(request))
            in_progress.release()

        try:
            async with self.client() as client, asyncio.TaskGroup() as group:
                sender = Sender(self.server, client, decoding)
                await self.check_parameters(decoding, text_of)
                for request in requests:
                    await in_progress.acquire()
                    group.create_task(complete_one(request, sender))
        finally:
            arrived.put_nowait(None)

    async def check_parameters(self, decoding: Decoding, text_of: TextOf) -> None:
        """Check once for each decoding that the server uses the parameters it may not know.

        Requests of other threads, each with an event loop of its own, wait for the same check.

        Raises:
            UserError: it ignores one of them, or cannot be asked; then the next request checks.
        """
        mine: Check = Future()
        mine.set_running_or_notify_cancel()  # Who only waits for it cannot cancel it.
        check = self.checks.setdefault(decoding, mine)
        if check is mine:
            try:
                mine.set_result(await self.ignored_parameter(decoding, text_of))
            except BaseException as error:
                del self.checks[decoding]
                mine.set_exception(error)
                raise
        ignored = await asyncio.wrap_future(check)
        if ignored is not None:
            raise UserError(str(ignored))

    async def ignored_parameter(self, decoding: Decoding, text_of: TextOf) -> UserError | None:
        """Return the error of a parameter that the server ignores; None if none is known.

        Raises:
            UserError: no request to this server can succeed.
        """
        try:
            await check_parameters(self.url, self.recipe, decoding, text_of)
        except IgnoredParameter as error:
            return error
        except AttemptError as error:
            logger.warning(
                "%s: could not check whether the server uses each parameter (%s)",
                self.url,
                self.server.errors.redact(error),
            )
        return None

    def client(self) -> openai.AsyncOpenAI:
        """Return the SDK's client without its retries and time limits.

        Raises:
            UserError: an environment variable names a proxy that cannot be used.
        """
        # Each request has a connection of its own. If a server or a proxy sends a reply twice, the
        # second copy would otherwise be read as the reply to the next request.
        with explained_environment(self.url):
            http_client = openai.DefaultAsyncHttpxClient(
                limits=httpx2.Limits(
                    max_connections=self.recipe.concurrency, max_keepalive_connections=0
                ),
                trust_env=self.trust_environment,
                verify=self.certificates,
            )
        return openai.AsyncOpenAI(
            base_url=self.url,
            api_key=self.key,
            max_retries=0,
            timeout=None,
            http_client=http_client,
        )
