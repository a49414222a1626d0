"""The server of squads in a thread, with a scripted squad and a scripted upstream."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx2
from running_apps import run_app, wait_for
from scripted_squad import COMMAND
from scripted_upstream import Record, serve_upstream

from aligners.serving.app import build_app
from aligners.serving.options import ServeOptions
from aligners.serving.service import Service

CHAT = "/v1/chat/completions"


@dataclass(frozen=True)
class Served:
    """A running server.

    Attributes:
        url: of the server.
        service: its parts.
        record: what its upstream got.
        client: of the server.
    """

    url: str
    service: Service
    record: Record
    client: httpx2.Client

    def ask(
        self, question: str = "say: all good", headers: dict[str, str] | None = None, **body: Any
    ) -> httpx2.Response:
        """Ask for a chat completion; `fault` goes to the upstream."""
        return self.client.post(CHAT, json=chat_body(question, **body), headers=headers)

    def metric(self, line: str) -> float:
        """Return a number of /metrics by its name and labels; 0 if it is not there."""
        for found in self.client.get("/metrics").text.splitlines():
            name, _, value = found.rpartition(" ")
            if name == line:
                return float(value)
        return 0.0


def chat_body(question: str, fault: str = "", **body: Any) -> dict[str, Any]:
    """Return the body of a request for a chat completion."""
    system = [{"role": "system", "content": f"fault={fault}"}] if fault else []
    messages = [*system, {"role": "user", "content": question}]
    return {"model": "tiny", "messages": messages, **body}


@contextmanager
def serve_squad(
    command: Sequence[str] = COMMAND, delay: float = 0.0, wait: bool = True, **options: Any
) -> Iterator[Served]:
    """Serve until the end of the block.

    Args:
        command: of the process with the models.
        delay: seconds until the upstream answers.
        wait: whether to wait until the squad is ready.
        options: of the server.
    """
    with serve_upstream(delay) as (upstream, record):
        made = replace(ServeOptions(squad="scripted", upstream=upstream), **options)
        app = build_app(made, command)
        with run_app(app) as url, httpx2.Client(base_url=url, timeout=60) as client:
            if wait:
                wait_for(lambda: app.state.service.squad.is_ready)
            yield Served(url, app.state.service, record, client)
