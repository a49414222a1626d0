"""docs/serving.md has the options, routes, reasons, headers and metrics of the server."""

import re
from collections.abc import Iterator
from dataclasses import MISSING, fields

import pytest
from pages import Table, tables
from served_squads import Served, serve_squad

from aligners.serving import reasons
from aligners.serving.app import list_routes
from aligners.serving.exchange import ON_ERROR, STREAM, TRACE
from aligners.serving.metrics import Metrics
from aligners.serving.options import ServeOptions

PAGE = "docs/serving.md"


def table(title: str) -> Table:
    """Return the first table whose first column has a title."""
    return next(table for table in tables(PAGE) if table.columns[0] == title)


def first_words(title: str) -> list[str]:
    """Return the first word in backticks of each row of a table."""
    return [re.findall(r"`([^ `]+)", cell)[0] for cell in table(title).column(title)]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """A server with a scripted squad."""
    with serve_squad() as served:
        yield served


def test_options_and_their_defaults() -> None:
    shown = dict(zip(first_words("option"), table("option").column("default"), strict=True))
    expected = {}
    for field in fields(ServeOptions):
        default = field.default
        text = f"`{default:g}`" if isinstance(default, int | float) else f"`{default}`"
        text = "required" if default is MISSING else text
        text = "none" if default in (None, ()) else "off" if default is False else text
        expected[f"--{field.name.replace('_', '-')}"] = text
    assert shown == expected


def test_routes() -> None:
    shown = {cell.strip("`").split(" ")[1] for cell in table("route").column("route")}
    served = {route.path for route in list_routes(ServeOptions("", page=True))}
    assert shown == {path for path in served if "{" not in path}


def test_reasons() -> None:
    causes = {reasons.MODEL_PROCESS, reasons.TIMEOUT, reasons.OVERLOAD, reasons.SQUAD_ERROR}
    assert set(first_words("reason")) == set(reasons.WORDS) - causes


def test_headers(served: Served) -> None:
    shown = set(first_words("header of the response"))
    sent = {name for name in served.ask("say: bad").headers if name.startswith("x-aligners-")}
    assert shown == sent
    assert set(first_words("header of the request")) == {TRACE, ON_ERROR, STREAM}


def test_metrics_and_their_labels(served: Served) -> None:
    served.ask("say: bad")
    shown = table("metric")
    names = first_words("metric")
    told = re.findall(r"# HELP (aligners_\w+)", served.client.get("/metrics").text)
    assert sorted(names) == sorted(name for name in told if not name.endswith("_created"))
    labels = {
        name: collector._labelnames
        for collector, kinds in Metrics().registry._collector_to_names.items()
        for name in kinds
    }
    for name, cell in zip(names, shown.column("labels"), strict=True):
        assert tuple(re.findall(r"`(\w+)`", cell)) == tuple(labels.get(name, ())), name
