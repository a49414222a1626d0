"""Routes that go to the upstream without the squad: its models, and the paths of --pass-through."""

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from aligners.core.errors import UserError
from aligners.serving.errors import ApiError, PassedError
from aligners.serving.http.bodies import read_body
from aligners.serving.http.replies import while_connected
from aligners.serving.routes.chat import passed_response
from aligners.serving.service import exchange_of, service_of

AFFECTS_RESULTS = False

API, CHAT = "/v1", "/v1/chat/completions"


async def pass_on(request: Request) -> Response:
    """Send a request to the upstream and its answer to the client, both as they are."""
    service, exchange = service_of(request), exchange_of(request)
    upstream = service.needed_upstream()
    body = await read_body(request, service.options.max_body)
    exchange.begin()
    path = request.url.path.removeprefix(API)
    sent = request.method, path, request.url.query, request.headers.items(), body
    reply = await while_connected(request.receive, upstream.send(*sent))
    if reply.status >= 400:
        raise PassedError(reply.status, reply.headers, reply.content)
    return passed_response(reply.status, reply.headers, reply.content)


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
        if path.rstrip("/").startswith(CHAT):
            raise UserError(f"--pass-through {path}: the squad serves this path; leave it out")
