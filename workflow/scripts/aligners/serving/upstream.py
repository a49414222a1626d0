"""The LLM's API behind the server: one client for all requests, and errors of their own status."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx2

from aligners.core.api_keys import read_api_key
from aligners.core.errors import UserError
from aligners.core.http_environment import explained_environment
from aligners.serving.errors import ApiError, bad_request, upstream_error
from aligners.serving.exchange import PREFIX
from aligners.serving.options import ServeOptions

AFFECTS_RESULTS = False

Headers = list[tuple[str, str]]

CONNECT_SECONDS = 10.0
# Shorter than the 5 s after which uvicorn, for one, closes a connection: a request that is sent
# while the upstream closes is lost.
KEEP_ALIVE_SECONDS = 4.0
# Headers that concern one connection (RFC 9110, section 7.6.1), or the form of a body that is sent
# in another one.
OF_ONE_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "content-length",
    "content-encoding",
    "accept-encoding",
    "host",
    "expect",
}
# What a client sends to this server alone.
CREDENTIALS = {"authorization", "x-api-key", "api-key", "cookie"}
# Of the upstream's own server and site.
OF_THE_SERVER = {"server", "date", "set-cookie", "alt-svc", "strict-transport-security"}


@dataclass(frozen=True)
class Reply:
    """An answer of the upstream.

    Attributes:
        status: of HTTP.
        headers: those that a client may see.
        content: the body, whole.
    """

    status: int
    headers: Headers
    content: bytes


class Upstream:
    """A client of the upstream."""

    def __init__(self, options: ServeOptions, has_keys: bool):
        """Read the settings; the first request connects.

        Args:
            options: of the server.
            has_keys: whether clients send keys of this server, which the upstream never gets.

        Raises:
            UserError: the URL is invalid, the environment has no key of the upstream, or its proxy
                or its certificates cannot be used.
        """
        self.base = check_url(options.upstream or "")
        variable = options.upstream_key_variable
        self.key = (
            read_api_key(variable, "--upstream-key-variable") if variable is not None else None
        )
        self.hides_credentials = has_keys or self.key is not None
        self.seconds, self.max_bytes = options.upstream_timeout, options.max_body
        with explained_environment(f"--upstream {self.base}"):
            self.client = httpx2.AsyncClient(
                timeout=httpx2.Timeout(options.upstream_timeout, connect=CONNECT_SECONDS),
                limits=httpx2.Limits(
                    max_connections=None,
                    max_keepalive_connections=options.max_requests,
                    keepalive_expiry=KEEP_ALIVE_SECONDS,
                ),
            )

    async def close(self) -> None:
        """Close all connections."""
        await self.client.aclose()

    async def send(
        self, method: str, path: str, query: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> Reply:
        """Send a request and return the whole answer.

        Args:
            method: of HTTP.
            path: after the base URL, with a slash.
            query: of the client's URL, sent as it is.
            headers: of the client.
            body: of the client, sent as it is.

        Raises:
            ApiError: there is no whole answer.
        """
        async with self.stream(method, path, query, headers, body) as response:
            return await self.read(response)

    async def read(self, response: httpx2.Response) -> Reply:
        """Return the whole answer of an open request (`stream`)."""
        content = b"".join([part async for part in self.parts(response)])
        return Reply(response.status_code, shown_headers(response), content)

    async def parts(self, response: httpx2.Response) -> AsyncIterator[bytes]:
        """Yield the body of an answer as it arrives.

        Raises:
            ApiError: it is too large.
        """
        size = 0
        async for part in response.aiter_bytes():
            size += len(part)
            if size > self.max_bytes:
                raise upstream_error(
                    f"the upstream's answer is larger than {self.max_bytes} bytes; raise "
                    "--max-body-mb",
                    "upstream_too_large",
                )
            yield part

    @asynccontextmanager
    async def stream(
        self, method: str, path: str, query: str, headers: Sequence[tuple[str, str]], body: bytes
    ) -> AsyncIterator[httpx2.Response]:
        """Send a request and yield the answer when its headers are there (`send`).

        The time limit holds for all that is done with the answer.
        """
        url = f"{self.base}{path}" + (f"?{query}" if query else "")
        # As Starlette decoded them: a client may send other characters than those of ASCII.
        sent = [
            (name.encode("latin-1"), value.encode("latin-1"))
            for name, value in self.sent_headers(headers)
        ]
        try:
            request = self.client.build_request(method, url, headers=sent, content=body)
        except httpx2.InvalidURL:
            raise bad_request(
                "the path or the query of the URL cannot be sent to the upstream; correct it",
                "bad_path",
            ) from None
        try:
            async with asyncio.timeout(self.seconds):
                response = await self.client.send(request, stream=True)
                try:
                    if not 200 <= response.status_code < 600 or 300 <= response.status_code < 400:
                        raise upstream_error(
                            f"the upstream answered with status {response.status_code}, which is "
                            "no answer of OpenAI's API; correct --upstream",
                            "upstream_nonsense",
                        )
                    yield response
                finally:
                    await response.aclose()
        except (TimeoutError, httpx2.HTTPError, httpx2.StreamError) as error:
            raise self.explain(error) from None

    def explain(self, error: Exception) -> ApiError:
        """Return the error that a client gets for one of the connection to the upstream."""
        if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
            return upstream_error("the upstream cannot be reached", "upstream_unreachable")
        if isinstance(error, TimeoutError | httpx2.TimeoutException):
            return upstream_error(
                f"the upstream gave no whole answer within {self.seconds:g} seconds",
                "upstream_timeout",
                504,
            )
        if isinstance(error, httpx2.DecodingError):
            return upstream_error("the upstream's answer cannot be decoded", "upstream_nonsense")
        return upstream_error(
            "the upstream closed the connection before the end of its answer", "upstream_closed"
        )

    def sent_headers(self, headers: Sequence[tuple[str, str]]) -> Headers:
        """Return the headers of a client that the upstream gets, with its key."""
        hidden = CREDENTIALS if self.hides_credentials else set()
        dropped = OF_ONE_HOP | hidden | named_by_connection(headers)
        sent = [
            (name, value)
            for name, value in headers
            if name not in dropped and not name.startswith(PREFIX)
        ]
        sent.append(("accept-encoding", "identity"))
        if self.key is not None:
            sent.append(("authorization", f"Bearer {self.key}"))
        return sent


def named_by_connection(headers: Sequence[tuple[str, str]]) -> set[str]:
    """Return the headers that the header Connection names: they concern one connection too."""
    return {
        part.strip().lower()
        for name, value in headers
        if name == "connection"
        for part in value.split(",")
    }


def shown_headers(response: httpx2.Response) -> Headers:
    """Return the headers of an answer that a client gets; Latin-1 keeps each of their bytes."""
    dropped = OF_ONE_HOP | OF_THE_SERVER
    received = [
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in response.headers.raw
    ]
    return [
        (name, value)
        for name, value in received
        if name not in dropped and not name.startswith(PREFIX)
    ]


def check_url(url: str) -> str:
    """Return the base URL of the upstream without a slash at its end.

    Raises:
        UserError: it is none.
    """
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise UserError(f"--upstream {url}: {error}; correct the URL") from None
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.query:
        raise UserError(
            f"--upstream {url}: not the base URL of an API; give one such as "
            "http://127.0.0.1:8080/v1"
        )
    if parsed.port is not None and not 0 < parsed.port < 2**16:
        raise UserError(f"--upstream {url}: no port {parsed.port}; give one from 1 to 65535")
    if parsed.userinfo:
        raise UserError(
            "--upstream: the URL has a password, where logs would keep it; put the key into an "
            "environment variable, and name this with --upstream-key-variable"
        )
    return url.rstrip("/")
