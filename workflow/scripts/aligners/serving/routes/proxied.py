"""Routes that go to the upstream without the squad: its models, and the paths of --pass-through."""

import re

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from aligners.core.errors import UserError
from aligners.serving.errors import ApiError, PassedError, bad_request
from aligners.serving.http.bodies import read_body, shown
from aligners.serving.http.replies import while_connected
from aligners.serving.routes.chat import passed_response
from aligners.serving.service import exchange_of, query_of, service_of

AFFECTS_RESULTS = False

API, CHAT = "/v1", "/v1/chat/completions"
SERVED = (f"{CHAT}/", "/v1/align/", "/v1/inspect/", "/v1/squad/")


async def pass_on(request: Request) -> Response:
    """Send a request to the upstream and its answer to the client, both as they are."""
    service, exchange = service_of(request), exchange_of(request)
    upstream = service.needed_upstream()
    body = await read_body(request, service.options.max_body)
    exchange.begin()
    path = sent_path(request)
    sent = request.method, path, query_of(request), request.headers.items(), body
    reply = await while_connected(request.receive, upstream.send(*sent))
    if reply.status >= 400:
        raise PassedError(reply.status, reply.headers, reply.content)
    return passed_response(reply.status, reply.headers, reply.content)


def sent_path(request: Request) -> str:
    """Return the path for the upstream, without that of the API, as the client wrote it.

    Raises:
        ApiError: a server could read it as another path, which would pass the squad by.
    """
    path: str = request.scope["path"]
    # A parameter after a semicolon belongs to its segment, for some servers.
    segments = [part.partition(";")[0] for part in re.split(r"[/\\]", path)]
    if "." in segments or ".." in segments:
        raise bad_request(
            f"the path {shown(path)} has a segment of dots; name the path that it leads to",
            "bad_path",
        )
    raw = request.scope["raw_path"].decode("latin-1")
    # The route was found by the decoded path. The raw one follows the URL of the upstream, whose
    # host it could change if it did not begin with a slash.
    if not raw.startswith(f"{API}/"):
        raise bad_request(
            f"the path {shown(raw)} does not begin with {API}/; write it so", "bad_path"
        )
    return str(raw.removeprefix(API))


async def refuse(request: Request) -> Response:
    """Refuse a path of the API that the squad does not know."""
    path = request.url.path
    if path == exchange_of(request).route:
        raise HTTPException(405)
    raise ApiError(
        501,
        f"{path} would pass the squad by, so this server refuses it; use {CHAT}, or start the "
        f"server with --pass-through {path}",
        "path_not_served",
    )


def check_paths(paths: tuple[str, ...]) -> None:
    """Check the paths that pass the squad by.

    Raises:
        UserError: one is no path of the API, or one that the squad serves.
    """
    for path in paths:
        if not path.startswith(f"{API}/") or set(path) & set("{}?#%") or "//" in path:
            raise UserError(
                f"--pass-through {path}: no path of the API; give one like /v1/embeddings"
            )
        if {".", ".."} & set(path.split("/")):
            raise UserError(
                f"--pass-through {path}: has a segment of dots; give the path it leads to"
            )
        if f"{path.rstrip('/')}/".startswith(SERVED) or path == f"{API}/":
            raise UserError(f"--pass-through {path}: the squad serves this path; leave it out")
