"""Runs the server with uvicorn until it is stopped."""

import asyncio
import logging
import math
import socket
from collections.abc import Sequence
from contextlib import suppress

import uvicorn

from aligners.core.errors import UserError
from aligners.serving.app import build_app
from aligners.serving.options import ServeOptions
from aligners.serving.service import Service

AFFECTS_RESULTS = False

logger = logging.getLogger(__name__)

# Longer than the 60 s of common proxies, so that these close connections first.
KEEP_ALIVE_SECONDS = 75


def serve(options: ServeOptions, model_command: Sequence[str] | None = None) -> None:
    """Serve until SIGTERM or Ctrl-C; running requests may finish.

    Args:
        options: of the server.
        model_command: of the process with the models; by default, that of the squad.

    Raises:
        UserError: an option is invalid, the port is taken, or the squad cannot be loaded.
    """
    app = build_app(options, model_command)
    config = uvicorn.Config(
        app,
        # The log of requests would keep URLs with what clients put into them.
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        ws="none",
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        # uvicorn takes whole seconds, and 0 would end all requests at once.
        timeout_graceful_shutdown=math.ceil(options.shutdown_seconds),
    )
    server = uvicorn.Server(config)
    listener = open_listener(options)
    logger.info("listening on %s", shown_address(options, listener))
    fatal = None
    with suppress(KeyboardInterrupt):  # which uvicorn raises again after Ctrl-C
        fatal = asyncio.run(run(server, listener, app.state.service))
    if fatal is not None:
        raise UserError(fatal)


async def run(server: uvicorn.Server, listener: socket.socket, service: Service) -> str | None:
    """Serve to the end; return the message of a squad that could not be loaded."""
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    while not serving.done():
        await asyncio.wait([serving], timeout=0.1)
        fatal = getattr(service.squad, "fatal", None)
        if fatal is not None and fatal.done():
            server.should_exit = True
            await serving
            return str(fatal.result())
    await serving
    return None


def open_listener(options: ServeOptions) -> socket.socket:
    """Return a socket that listens on the address.

    Raises:
        UserError: the address or the port cannot be used.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # With the protocol named, asyncio turns Nagle's algorithm off; otherwise each answer to a
    # connection that is used again takes 40 ms longer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise UserError(
            f"--host {options.host} --port {options.port}: {error}; use another address or port"
        ) from None
    return listener


def shown_address(options: ServeOptions, listener: socket.socket) -> str:
    """Return the URL of a server, with the port that it has."""
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"http://{host}:{listener.getsockname()[1]}"
