"""What happens to every request before and after its route: access, limits, headers, metrics."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aligners.serving.errors import ApiError, shutting_down, too_many
from aligners.serving.exchange import Exchange, Wishes, read_wishes
from aligners.serving.http.access import Access
from aligners.serving.service import Service

AFFECTS_RESULTS = False

logger = logging.getLogger(__name__)

HEALTH = "/health"
# What a client gets, as metrics have it, if it left before.
CLIENT_LEFT = 499
OTHER = "other"


class Front:
    """The outermost part of the app."""

    def __init__(self, app: ASGIApp, service: Service, access: Access, routes: frozenset[str]):
        """Wrap an app.

        Args:
            app: with the routes.
            service: what routes share.
            access: who may use the server.
            routes: paths that metrics name; the others are one.
        """
        self.app, self.service, self.access, self.routes = app, service, access, routes
        self.in_progress = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = scope["path"]
        options = self.service.options
        wishes = Wishes(False, options.on_error, options.stream)
        exchange = Exchange(path if path in self.routes else OTHER, wishes)
        scope["aligners.exchange"] = exchange

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.status = message["status"]
                message["headers"] = [*message.get("headers", []), *exchange.headers()]
            await send(message)

        self.in_progress += 1
        self.service.metrics.in_progress.inc()
        try:
            try:
                self.check(scope, exchange)
            except ApiError as error:
                self.service.note_error(exchange, error)
                await send_error(error, send_with_headers)
            else:
                await self.app(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # The server ends, and has waited long enough.
            if exchange.status:
                raise
            await send_error(shutting_down(), send_with_headers)
        except Exception:
            exchange.status = exchange.status or 500
            raise
        finally:
            self.in_progress -= 1
            self.service.metrics.in_progress.dec()
            self.count(exchange, scope["method"])

    def check(self, scope: Scope, exchange: Exchange) -> None:
        """Check whether a request is allowed, and read its headers.

        Raises:
            ApiError: it is not.
        """
        if scope["path"] == HEALTH:
            return
        request = Request(scope)
        headers: Mapping[str, str] = request.headers
        self.access.check(headers, scope["query_string"].decode("latin-1"))
        exchange.wishes = read_wishes(request.headers.items(), self.service.options)
        if scope["method"] == "POST" and self.in_progress > self.service.options.max_requests:
            raise too_many(
                f"{self.in_progress - 1} requests are in progress; try again later",
                self.service.squad.wait_seconds(),
            )

    def count(self, exchange: Exchange, method: str) -> None:
        """Count an answered request, and write a line about it to the log."""
        status = exchange.status or CLIENT_LEFT
        metrics = self.service.metrics
        labels = exchange.route, str(status), exchange.action, exchange.reason
        metrics.requests.labels(*labels).inc()
        if exchange.overhead_seconds is not None:
            metrics.overhead.labels(exchange.route).observe(exchange.overhead_seconds)
        if exchange.action:
            logger.info(
                "request %s: %s %s %d %s (%s)",
                exchange.id,
                method,
                exchange.route,
                status,
                exchange.action,
                exchange.reason,
            )


async def send_error(error: ApiError, send: Send) -> None:
    """Send an error as a response."""
    body = error.body()
    headers: list[Any] = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
    ]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in error.headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
