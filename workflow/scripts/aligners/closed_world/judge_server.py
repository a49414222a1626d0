"""A server on 127.0.0.1 with OpenAI's chat API for the closed world's judge.

From workflow/scripts: python -m aligners.closed_world.judge_server --world FILE --port PORT
"""

import json
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import tyro

from aligners.closed_world.judge import Opinion, judge
from aligners.closed_world.truth import Truth
from aligners.closed_world.world import load_world
from aligners.core.completions import CHARACTERS_PER_TOKEN

MODEL = "closed-world-judge"


def chat_completion(request: dict[str, Any], opinion: Opinion) -> dict[str, Any]:
    """Return an opinion as a chat completion, with log-probabilities if requested."""
    prompt_tokens = len(str(request["messages"])) // CHARACTERS_PER_TOKEN
    top = [
        {"token": token, "logprob": logprob, "bytes": list(token.encode())}
        for token, logprob in sorted(opinion.logprobs.items(), key=lambda item: -item[1])
    ]
    requested = top[: request.get("top_logprobs", 0)] if request.get("logprobs") else []
    logprobs = {"content": [{**top[0], "top_logprobs": requested}]} if requested else None
    return {
        "id": "chatcmpl-0",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": opinion.reply},
                "finish_reason": "stop",
                "logprobs": logprobs,
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": 1,
            "total_tokens": prompt_tokens + 1,
        },
    }


def handler(truth: Truth) -> type[BaseHTTPRequestHandler]:
    """Return the class of the request handler for a judge with this truth."""

    class Judge(BaseHTTPRequestHandler):
        # HTTP/1.1 keeps connections open between requests.
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            """Reply that the server is ready."""
            self.reply(HTTPStatus.OK, {"status": "ready"})

        def do_POST(self) -> None:
            """Reply to one request for a completion."""
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            try:
                request = json.loads(body)
                prompt = request["messages"][-1]["content"]
            except (ValueError, LookupError, TypeError):
                error = {"error": {"message": "no messages in the format of OpenAI's chat API"}}
                self.reply(HTTPStatus.BAD_REQUEST, error)
                return
            self.reply(HTTPStatus.OK, chat_completion(request, judge(truth, prompt)))

        def reply(self, status: HTTPStatus, value: dict[str, Any]) -> None:
            """Send a value as JSON."""
            body = json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Do not log requests."""

    return Judge


def main(*, world: str, port: int) -> None:
    """Serve until the process ends.

    Args:
        world: path of the closed world's YAML file.
        port: port on 127.0.0.1.
    """
    server = ThreadingHTTPServer(("127.0.0.1", port), handler(Truth(load_world(world))))
    server.serve_forever()


if __name__ == "__main__":
    tyro.cli(main)
