"""The server as an app of Starlette: its routes, and how it starts and ends."""

import math
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from aligners.core.errors import UserError
from aligners.serving.errors import ApiError, PassedError
from aligners.serving.http.access import Access, read_keys
from aligners.serving.http.front import CLIENT_LEFT, HEALTH, Front
from aligners.serving.http.replies import json_response
from aligners.serving.metrics import Metrics
from aligners.serving.models.client import SquadClient
from aligners.serving.options import ServeOptions
from aligners.serving.routes.chat import complete_chat, passed_response
from aligners.serving.routes.guardrail import AskedQuestions, guard
from aligners.serving.routes.page import render_page
from aligners.serving.routes.proxied import CHAT, check_paths, pass_on, refuse
from aligners.serving.routes.squad import align, inspect, show_squad
from aligners.serving.service import Service, exchange_of, service_of
from aligners.serving.text_log import TextLog
from aligners.serving.upstream import Upstream
from aligners.squads.directory import find_squad

AFFECTS_RESULTS = False

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]


def build_app(options: ServeOptions, model_command: Sequence[str] | None = None) -> Starlette:
    """Return the server as an app. Its models are loaded when it starts.

    Args:
        options: of the server.
        model_command: of the process with the models; by default, that of the squad.

    Raises:
        UserError: an option, a key or a file is invalid, or there is no such squad.
    """
    check_numbers(options)
    check_paths(options.pass_through)
    keys = read_keys(options)
    upstream = Upstream(options, bool(keys)) if options.upstream is not None else None
    text_log = TextLog(options.log_texts) if options.log_texts is not None else None
    metrics = Metrics()
    squad = SquadClient(
        model_command or model_process_command(options),
        options.timeout,
        options.max_queue,
        metrics.restarts.inc,
    )
    metrics.watch_squad(lambda: len(squad.pending), lambda: squad.is_ready)
    service = Service(options, squad, upstream, metrics, text_log)
    routes = list_routes(options)
    named = frozenset(route.path for route in routes if "{" not in route.path)
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Front, service=service, access=Access(keys), routes=named)],
        exception_handlers={
            ApiError: answer_error,
            HTTPException: answer_http_error,
            ClientDisconnect: answer_nobody,
            Exception: answer_failure,
        },
        lifespan=lifespan,
    )
    # A path with a slash at its end is another path, and is not redirected.
    app.router.redirect_slashes = False
    app.state.service, app.state.questions = service, AskedQuestions()
    return app


def model_process_command(options: ServeOptions) -> list[str]:
    """Return the command of the process with the models.

    It gets a directory: a name on the Hub could be another squad after each restart.

    Raises:
        UserError: there is no such directory, or the Hub does not give the files.
    """
    directory = find_squad(options.squad, None, shows_progress=True)
    program = [sys.executable, "-m", "aligners.serving.models.process"]
    command = [*program, str(directory), str(options.timeout)]
    return [*command, str(options.inference)] if options.inference else command


def list_routes(options: ServeOptions) -> list[Route]:
    """Return the routes; the first that fits a path is taken."""
    routes = [
        Route(HEALTH, show_health, methods=["GET"]),
        Route("/ready", show_ready, methods=["GET"]),
        Route("/metrics", show_metrics, methods=["GET"]),
        Route(CHAT, complete_chat, methods=["POST"]),
        Route("/v1/align", align, methods=["POST"]),
        Route("/v1/inspect", inspect, methods=["POST"]),
        Route("/v1/squad", show_squad, methods=["GET"]),
        Route("/v1/models", pass_on, methods=["GET"]),
        Route("/v1/models/{name:path}", pass_on, methods=["GET"]),
        Route("/beta/litellm_basic_guardrail_api", guard, methods=["POST"]),
        *(Route(path, pass_on, methods=METHODS) for path in options.pass_through),
        Route("/v1/{path:path}", refuse, methods=METHODS),
    ]
    if options.page:
        routes.append(Route("/", show_page, methods=["GET"]))
    return routes


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[None]:
    """Start the process with the models, and end it at the end."""
    service: Service = app.state.service
    service.squad.start()
    try:
        yield
    finally:
        await service.squad.close()
        if service.upstream is not None:
            await service.upstream.close()
        if service.text_log is not None:
            service.text_log.close()


def check_numbers(options: ServeOptions) -> None:
    """Check that limits are finite numbers above 0.

    Raises:
        UserError: one is not.
    """
    for name in (
        "timeout",
        "upstream_timeout",
        "max_body_mb",
        "max_characters",
        "max_queue",
        "max_requests",
        "ping_seconds",
        "shutdown_seconds",
    ):
        value = getattr(options, name)
        if not 0 < value < math.inf:  # nan is neither
            raise UserError(f"--{name.replace('_', '-')} {value}: give a finite number above 0")


async def show_health(request: Request) -> Response:
    """Say that the process lives."""
    return json_response({"status": "ok"})


async def show_ready(request: Request) -> Response:
    """Say whether the models are loaded; the upstream is not asked."""
    is_ready = service_of(request).squad.is_ready
    return json_response({"ready": is_ready}, 200 if is_ready else 503)


async def show_metrics(request: Request) -> Response:
    """Return the metrics for Prometheus."""
    return Response(service_of(request).metrics.text(), media_type="text/plain; version=0.0.4")


async def show_page(request: Request) -> Response:
    """Return the page to try the squad."""
    page = render_page()
    return HTMLResponse(page.html, headers=page.headers)


async def answer_error(request: Request, error: Exception) -> Response:
    """Answer with an error."""
    assert isinstance(error, ApiError)
    service_of(request).note_error(exchange_of(request), error)
    if isinstance(error, PassedError):
        return passed_response(error.status, error.passed_headers, error.body())
    return Response(error.body(), error.status, error.headers, "application/json")


async def answer_http_error(request: Request, error: Exception) -> Response:
    """Answer with an error of Starlette, in the form of the others."""
    assert isinstance(error, HTTPException)
    path, status = request.url.path, error.status_code
    if status == 404:
        told = ApiError(404, f"there is nothing at {path}; use {CHAT} or /v1/align", "not_found")
    elif status == 405:
        message = f"{path} has no method {request.method}; use another"
        told = ApiError(405, message, "method_not_allowed", headers=dict(error.headers or {}))
    else:
        told = ApiError(status, error.detail, "http_error")
    return await answer_error(request, told)


async def answer_nobody(request: Request, error: Exception) -> Response:
    """Return what is counted for a client that left."""
    return Response(status_code=CLIENT_LEFT)


async def answer_failure(request: Request, error: Exception) -> Response:
    """Answer after an error in the server itself; Starlette logs it."""
    told = ApiError(500, "the server failed; its log says why", "internal_error", "server_error")
    return await answer_error(request, told)
