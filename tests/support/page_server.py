"""A stand-in for `aligners serve`: it serves the page, and replies what a test sets."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from http_servers import serve

from aligners.serving.routes.page import render_page

LONGEST_WAIT = 30


@dataclass
class Reply:
    """A reply: its body is JSON, or a text as it is; without a status, the connection is closed."""

    body: Any
    status: int | None = 200
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Asked:
    """A request that the server got."""

    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class PageServer:
    """What the server replies, and what it was asked.

    Attributes:
        replies: by path.
        key: the key that all paths but the page's require; none if it is empty.
        may_reply: replies to POST requests wait for it.
    """

    url: str = ""
    replies: dict[str, Reply] = field(default_factory=dict)
    key: str = ""
    asked: list[Asked] = field(default_factory=list)
    may_reply: threading.Event = field(default_factory=threading.Event)

    def reply(self, asked: Asked) -> Reply:
        """Return the reply to a request."""
        self.asked.append(asked)
        if self.key and asked.headers.get("authorization") != f"Bearer {self.key}":
            return Reply({"error": {"message": "This server needs a key."}}, 401)
        missing = Reply({"error": {"message": "no such path"}}, 404)
        return self.replies.get(asked.path, missing)


@contextmanager
def serve_page() -> Iterator[PageServer]:
    """Serve the page until the end of the block."""
    server = PageServer()
    server.may_reply.set()
    page = render_page()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/":
                self.send(Reply(page.html, headers=dict(page.headers)))
            else:
                self.send(server.reply(self.asked(None)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            reply = server.reply(self.asked(json.loads(body)))
            server.may_reply.wait(LONGEST_WAIT)
            self.send(reply)

        def asked(self, body: Any) -> Asked:
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Asked(self.path, headers, body)

        def send(self, reply: Reply) -> None:
            if reply.status is None:
                return
            is_text = isinstance(reply.body, str)
            content = (reply.body if is_text else json.dumps(reply.body)).encode()
            kind = "text/html; charset=utf-8" if is_text else "application/json"
            try:
                self.send_response(reply.status)
                for name, value in {"content-type": kind, **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)
            except ConnectionError:
                pass  # The page stopped waiting.

        def log_message(self, *arguments: Any) -> None:
            pass

    with serve(Handler) as server.url:
        yield server
        server.may_reply.set()
