"""The routes that ask no upstream: align, inspect, and what the squad is."""

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aligners.serving.exchange import Exchange, Verdict
from aligners.serving.http.bodies import parse_object, read_body, read_rows
from aligners.serving.http.replies import json_response, while_connected
from aligners.serving.models.client import SquadFailure
from aligners.serving.service import Row, Service, exchange_of, gather, service_of

AFFECTS_RESULTS = False


async def align(request: Request) -> Response:
    """Correct responses that the client has: one, or several in rows."""
    service, exchange, body = await start(request)
    rows = [Row(question, response) for question, response in read_rows(body)]
    with service.room(len(rows)):
        verdicts = await while_connected(request.receive, service.examine_all(exchange, rows))
    found = [corrected(verdict) for verdict in verdicts]
    return json_response({"id": exchange.id, **one_or_rows(body, found)})


def corrected(verdict: Verdict) -> dict[str, Any]:
    """Return what became of a response, with the correction."""
    return {**verdict.as_json(), "aligned_response": verdict.text}


async def inspect(request: Request) -> Response:
    """Score responses that the client has, without correcting them."""
    service, exchange, body = await start(request)
    rows = read_rows(body)
    thresholds = service.info().thresholds
    with service.room(len(rows)):
        work = [score(service, exchange, question, response) for question, response in rows]
        scores = await while_connected(request.receive, gather(work))
    found = [{"scores": each, "thresholds": thresholds} for each in scores]
    return json_response({"id": exchange.id, **one_or_rows(body, found)})


async def score(
    service: Service, exchange: Exchange, question: str, response: str
) -> dict[str, float | None]:
    """Return the scores of a response; None each if a text is too long.

    Raises:
        ApiError: the squad failed. There are no scores to give instead.
    """
    if service.too_long(question, response):
        return dict.fromkeys(service.info().criteria)
    try:
        return await service.squad.inspect(question, response)
    except SquadFailure as failure:
        service.metrics.failures.labels("refuse", failure.cause).inc()
        raise service.refusal(exchange, failure) from None


async def start(request: Request) -> tuple[Service, Exchange, dict[str, Any]]:
    """Return the service, what is known of the request, and its body.

    Raises:
        ApiError: the body is too large or no object.
    """
    service, exchange = service_of(request), exchange_of(request)
    body = await read_body(request, service.options.max_body)
    exchange.begin()
    return service, exchange, parse_object(body)


def one_or_rows(body: dict[str, Any], found: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the fields of one result, or all results under `rows`, as the request has them."""
    return {"rows": found} if "rows" in body else found[0]


async def show_squad(request: Request) -> Response:
    """Say what the squad is, for clients that show its scores."""
    service = service_of(request)
    info = service.info()
    return json_response(
        {
            "name": info.name,
            "system": info.system,
            "criteria": info.criteria,
            "thresholds": info.thresholds,
            "upstream": service.upstream is not None,
        }
    )
