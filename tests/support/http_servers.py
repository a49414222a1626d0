"""HTTP servers on a free port of 127.0.0.1."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# Returns the status and the JSON object that answer the JSON object of a request.
Reply = Callable[[dict[str, Any]], tuple[int, dict[str, Any]]]


class Server(ThreadingHTTPServer):
    """A server that many clients can connect to at the same time."""

    request_queue_size = 128


@contextmanager
def serve(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """Serve requests until the end of the block; yield the server's URL."""
    server = Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def json_handler(reply: Reply) -> type[BaseHTTPRequestHandler]:
    """Return the handler of a server that answers each POST request with JSON."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            status, answer = reply(request)
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write no log."""

    return Handler
