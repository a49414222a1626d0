"""Errors as OpenAI's API has them: a status, and an object `error` with a message and a code."""

import json
from contextlib import suppress
from typing import Any

AFFECTS_RESULTS = False

INVALID = "invalid_request_error"
AUTHENTICATION = "authentication_error"
PERMISSION = "permission_error"
RATE_LIMIT = "rate_limit_error"
SERVER = "server_error"
UPSTREAM = "upstream_error"


class ApiError(Exception):
    """An error that a client gets instead of an answer.

    Attributes:
        status: of the HTTP response, unless it has begun.
        code: a name for programs.
        is_upstream: whether the upstream caused it.
        error: the object of the response.
        headers: of the response.
    """

    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        kind: str = INVALID,
        param: str | None = None,
        headers: dict[str, str] | None = None,
    ):
        """Describe the error.

        Args:
            status: of the HTTP response, unless it has begun.
            message: what is wrong, and what to do.
            code: a name for programs.
            kind: of OpenAI's types of errors.
            param: the parameter that is wrong.
            headers: for the HTTP response, such as Retry-After.
        """
        super().__init__(message)
        self.status, self.code, self.headers = status, code, headers or {}
        self.is_upstream = kind == UPSTREAM
        self.error: dict[str, Any] = {
            "message": message,
            "type": kind,
            "param": param,
            "code": code,
        }

    def body(self) -> bytes:
        """Return the error as the body of a response."""
        return self.event_data()

    def event_data(self) -> bytes:
        """Return the error as the data of an event, for a response that has begun."""
        return json.dumps({"error": self.error}).encode()


class PassedError(ApiError):
    """An error of the upstream, which the client gets as it is."""

    def __init__(self, status: int, headers: list[tuple[str, str]], content: bytes):
        """Keep the answer of the upstream.

        Args:
            status: of the answer.
            headers: of the answer.
            content: the body.
        """
        super().__init__(
            status, f"the upstream answered with status {status}", "upstream_status", UPSTREAM
        )
        self.passed_headers, self.content = headers, content
        # If the body has no error, an event says the status.
        with suppress(ValueError, TypeError, KeyError, RecursionError):
            self.error = json.loads(content)["error"]

    def body(self) -> bytes:
        """Return the body of the upstream's answer."""
        return self.content


def bad_request(message: str, code: str, param: str | None = None) -> ApiError:
    """Return the error of a request that the client has to change."""
    return ApiError(400, message, code, param=param)


def upstream_error(message: str, code: str, status: int = 502) -> ApiError:
    """Return the error of an upstream that gave no whole answer."""
    return ApiError(status, message, code, UPSTREAM)


def too_many(message: str, retry_after: int) -> ApiError:
    """Return the error of a server that has too much to do."""
    return ApiError(
        429, message, "overloaded", RATE_LIMIT, headers={"retry-after": str(retry_after)}
    )


def read_too_slowly() -> ApiError:
    """Return the error of a stream whose client had not read it when the time limit ended."""
    return ApiError(
        504,
        "the client did not read the stream within the time limit of the upstream; read faster, or "
        "raise --upstream-timeout",
        "upstream_timeout",
        SERVER,
    )


def shutting_down() -> ApiError:
    """Return the error of a request that did not finish before the server ended."""
    return ApiError(503, "the server is shutting down; try again", "shutting_down", SERVER)
