"""A server with OpenAI's API that sends faulty replies, for tests and benchmarks.

To try it by hand: python tests/support/faulty_server.py --port 8000

It replies to every prompt with `answer_to(prompt)` after a latency. Token ids count as the text of
their numbers. A share of the replies have a
fault. It listens only on 127.0.0.1, prints its port, and runs until its standard input ends. Then
it prints the number of replies of each kind and the most requests in progress at once, as JSON.
"""

import asyncio
import gzip
import json
import random
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import tyro

FAULTS = (
    "429_retry_after",
    "429",
    "500",
    "reset",
    "hang",
    "truncated_json",
    "short_body",
    "empty_choices",
    "wrong_type",
    "slow_drip",
    "duplicate_choice",
    "duplicate_reply",
    "late_duplicate",
)
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many"}
CONTEXT = 20_000


def answer_to(prompt: str) -> str:
    """Return the completion of a prompt."""
    return f"“{prompt[::-1]}” – 你好"


def response(status: int, body: bytes, **headers: str) -> bytes:
    """Return an HTTP response."""
    fields = {"content-type": "application/json", "content-length": str(len(body)), **headers}
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def error(status: int, message: str, code: str = "", **headers: str) -> bytes:
    """Return an HTTP response with an error in the format of OpenAI's API."""
    return response(
        status, json.dumps({"error": {"message": message, "code": code}}).encode(), **headers
    )


def provider_error(status: int, **fields: Any) -> bytes:
    """Return an HTTP response with an error that has these fields."""
    return response(status, json.dumps({"error": fields}).encode())


def completion(choice: str, usage: str = "{}") -> bytes:
    """Return an HTTP response with a choice and a usage, which are JSON."""
    return response(200, f'{{"choices": [{choice}], "usage": {usage}}}'.encode())


def counted(tokens: str) -> bytes:
    """Return an HTTP response with a good text and a number of tokens, which is JSON."""
    return completion(
        '{"text": "Yes.", "finish_reason": "stop"}', f'{{"completion_tokens": {tokens}}}'
    )


def head(*fields: str) -> bytes:
    """Return the head of an HTTP response with these fields."""
    return "\r\n".join(["HTTP/1.1 200 OK", *fields, "", ""]).encode("latin-1")


GOOD = b'{"choices": [{"text": "Yes.", "finish_reason": "stop"}]}'
# Bodies of status 200 in which there is no completion.
BAD_BODIES = {
    "nothing": response(200, b""),
    "no_json": response(200, b"<html>Busy</html>"),
    "null": response(200, b"null"),
    "number": response(200, b"7"),
    "string": response(200, b'"choices"'),
    "list": response(200, b"[1]"),
    "nan": response(200, b"NaN"),
    "open_lists": response(200, b"[" * 200_000),
    "nested_lists": response(200, b"[" * 200_000 + b"]" * 200_000),
    "nested_objects": response(200, b'{"choices":' * 200_000),
    "nested_choice": completion("[" * 900 + "]" * 900),
    "other_charset": response(200, GOOD.replace(b"Yes", "Oué".encode("latin-1"))),
    "utf_16": response(200, GOOD.decode().encode("utf-16")[:-1]),
    "two_objects": response(200, GOOD + GOOD),
    "no_choices": response(200, b"{}"),
    "null_choices": response(200, b'{"choices": null}'),
    "text_choices": response(200, b'{"choices": "text"}'),
    "choices_by_name": response(200, b'{"choices": {"0": {"text": "Yes."}}}'),
    "null_choice": completion("null"),
    "number_choice": completion("7"),
    "list_choice": completion("[]"),
    "no_text": completion('{"index": 0}'),
    "null_text": completion('{"text": null}'),
    "number_text": completion('{"text": 7, "finish_reason": "stop"}'),
    "list_text": completion('{"text": ["Yes."], "finish_reason": "stop"}'),
    "object_text": completion('{"text": {"a": "Yes."}, "finish_reason": "stop"}'),
    "number_finish": completion('{"text": "Yes.", "finish_reason": 7}'),
    "list_finish": completion('{"text": "Yes.", "finish_reason": ["stop"]}'),
    "list_usage": completion('{"text": "Yes."}', "[1]"),
    "text_usage": completion('{"text": "Yes."}', '"many"'),
    "infinite_tokens": counted("1e999"),
    "minus_infinite_tokens": counted("-Infinity"),
    "nan_tokens": counted("NaN"),
    "negative_tokens": counted("-1"),
    "half_tokens": counted("1.5"),
    "true_tokens": counted("true"),
    "text_tokens": counted('"4"'),
    "list_tokens": counted("[4]"),
    "long_tokens": counted("9" * 5000),
    "many_tokens": counted("9" * 300),
    "no_content": b"HTTP/1.1 204 No Content\r\n\r\n",
    "not_modified": b"HTTP/1.1 304 Not Modified\r\n\r\n",
}
# Bytes that are no HTTP response, or only a part of one.
BROKEN_REPLIES = {
    "closed": b"",
    "other_protocol": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "only_a_body": GOOD,
    "zeros": bytes(1000),
    "no_status": b"HTTP/1.1 OK\r\n\r\n",
    "cut_status": b"HTTP/1.1 20",
    "cut_head": b"HTTP/1.1 200 OK\r\ncontent-le",
    "only_continue": b"HTTP/1.1 100 Continue\r\n\r\n",
    "no_name": head("content-length: 56", ": value") + GOOD,
    "control_characters": head("content-length: 56", "x: \0\x1b[31m") + GOOD,
    "long_field": head(f"x: {'y' * 200_000}", "content-length: 56") + GOOD,
    "many_fields": head(*(f"x{number}: y" for number in range(20_000))) + GOOD,
    "text_length": head("content-length: many") + GOOD,
    "negative_length": head("content-length: -1") + GOOD,
    "two_lengths": head("content-length: 56", "content-length: 7") + GOOD,
    "long_length": head("content-length: 5600") + GOOD,
    "endless_length": head(f"content-length: {'9' * 5000}") + GOOD,
    "bad_chunk_size": head("transfer-encoding: chunked") + b"size\r\n" + GOOD,
    "negative_chunk": head("transfer-encoding: chunked") + b"-1\r\n" + GOOD,
    "cut_chunk": head("transfer-encoding: chunked") + b"ff\r\n" + GOOD,
    "no_last_chunk": head("transfer-encoding: chunked") + b"38\r\n" + GOOD + b"\r\n",
    "unknown_transfer": head("transfer-encoding: 7") + GOOD,
    "no_gzip": response(200, GOOD, content_encoding="gzip"),
    "cut_gzip": response(200, gzip.compress(GOOD)[:-20], content_encoding="gzip"),
    "bad_deflate": response(200, GOOD, content_encoding="deflate"),
}
# Errors of the server with odd bodies.
ODD_ERRORS = {
    "nested_error": response(500, b'{"error":' * 200_000),
    "deep_error": response(500, b'{"error":' + b"[" * 900 + b"]" * 900 + b"}"),
    "deep_message": response(500, b'{"message":' + b"[" * 500 + b"]" * 500 + b"}"),
    "long_code": response(500, b'{"error": {"code": %s}}' % (b"9" * 5000)),
    "list_error": response(500, b'{"error": [1]}'),
    "null_error": response(500, b'{"error": null}'),
    "unknown_charset": response(
        500, "Überlastet".encode("latin-1"), content_type="text/x; charset=x"
    ),
    "zipped_error": response(500, gzip.compress(b"Busy"), content_encoding="gzip"),
    "no_status_of_http": b"HTTP/1.1 999 Odd\r\n\r\n",
    "error_with_status_200": response(200, b'{"error": {"code": 502, "message": "Down"}}'),
    "odd_error_with_status_200": response(200, b'{"error": {"code": 1e999}}'),
    "text_error_with_status_200": response(200, b'{"error": "Down"}'),
    "error_in_choice": completion('{"error": {"code": 429, "message": "Busy"}, "text": "Ye"}'),
}
# Good replies in an unusual form, all with this text.
UNUSUAL_TEXT = "Yes."
UNUSUAL_REPLIES = {
    "null_usage": completion('{"text": "Yes.", "finish_reason": "stop"}', "null"),
    "null_tokens": counted("null"),
    "whole_tokens": counted("4.0"),
    "null_finish": completion('{"text": "Yes.", "finish_reason": null}'),
    "no_length": head("content-type: text/plain") + GOOD,
    "zipped": response(200, gzip.compress(GOOD), content_encoding="gzip"),
    "unknown_charset_of_json": response(200, GOOD, content_type="application/json; charset=x"),
    "model_of_other_type": response(200, GOOD[:-1] + b', "model": [7]}'),
    "continue_first": b"HTTP/1.1 100 Continue\r\n\r\n" + response(200, GOOD),
}
# Texts with half of a surrogate pair.
HALF_PAIRS = {
    "half_pair": completion('{"text": "a\\ud83d", "finish_reason": "length"}'),
    "other_half": completion('{"text": "a\\ude00", "finish_reason": "length"}'),
}
# Replies to a chat by which providers withhold one completion, with a word of their reason.
REFUSALS = {
    "azure_prompt": (
        provider_error(
            400,
            message="The response was filtered due to the prompt",
            code="content_filter",
            innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
        ),
        "ResponsibleAIPolicyViolation",
    ),
    "azure_completion": (
        completion('{"finish_reason": "content_filter", "message": {"role": "assistant"}}'),
        "content_filter",
    ),
    "openrouter": (
        provider_error(
            403,
            code=403,
            message="Your input was flagged",
            metadata={"reasons": ["violence"], "flagged_input": "How", "provider_name": "P"},
        ),
        "violence",
    ),
    "openrouter_in_body": (
        provider_error(200, code=403, message="Your input was flagged"),
        "flagged",
    ),
    "firewall": (response(403, b"<html>Blocked</html>", content_type="text/html"), "Blocked"),
    "gateway": (provider_error(446, message="The guardrail denied it"), "guardrail"),
    "openai_policy": (
        provider_error(400, message="Flagged as violating our usage policy", code="invalid_prompt"),
        "usage policy",
    ),
    "openai_refusal": (
        completion(
            '{"finish_reason": "stop", "message": {"content": null, "refusal": "I refuse"}}'
        ),
        "I refuse",
    ),
    "tool": (
        completion('{"finish_reason": "tool_calls", "message": {"tool_calls": [{"id": "1"}]}}'),
        "tool",
    ),
    "gemini": (completion('{"finish_reason": "SAFETY", "message": null}'), "SAFETY"),
    "gemini_compatible": (
        completion('{"finish_reason": "content_filter: OTHER", "message": {"content": "The"}}'),
        "OTHER",
    ),
}
# Errors that concern every request, with a word of the server.
ERRORS_OF_ALL = {
    "credit": (provider_error(402, message="Insufficient credits"), "Insufficient credits"),
    "credit_429": (
        provider_error(429, message="Check your plan", code="insufficient_quota"),
        "Check your plan",
    ),
    "key": (provider_error(401, message="No such key"), "No such key"),
    "key_in_body": (provider_error(200, code=401, message="No such key"), "No such key"),
    "country": (
        provider_error(
            403, message="Not supported here", code="unsupported_country_region_territory"
        ),
        "Not supported here",
    ),
    "parameter": (provider_error(400, message="Use another parameter"), "another parameter"),
    "anthropic_credit": (
        provider_error(400, message="Your credit balance is too low"),
        "balance is too low",
    ),
}
ODD_REPLIES = {
    **BAD_BODIES,
    **BROKEN_REPLIES,
    **ODD_ERRORS,
    **UNUSUAL_REPLIES,
    **HALF_PAIRS,
    **{name: reply for name, (reply, _) in (REFUSALS | ERRORS_OF_ALL).items()},
}


class FaultyServer:
    """The server and the record of its replies."""

    def __init__(
        self,
        latency: float,
        fault_share: float,
        faults: tuple[str, ...],
        seed: int,
        retry_after: str,
        model: str,
        key: str,
        always: str,
        journal: Path | None,
        ignores: tuple[str, ...],
    ):
        self.latency, self.fault_share, self.faults = latency, fault_share, faults
        self.retry_after, self.model, self.key = retry_after, model, key
        self.always, self.ignores = always, ignores
        self.random = random.Random(seed)
        self.journal = journal.open("a") if journal else None
        self.counts: Counter[str] = Counter()
        self.in_progress = self.most_in_progress = 0
        # A task without a reference to it may be deleted before it ends.
        self.connections: set[asyncio.Task[None] | None] = set()

    def record(self, kind: str, prompt: str, request: dict[str, Any]) -> None:
        """Count a reply, and write its kind, prompt, time and request to the journal."""
        self.counts[kind] += 1
        if self.journal:
            self.journal.write(json.dumps([kind, prompt, time.time(), request]) + "\n")
            self.journal.flush()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Reply to the requests of one connection."""
        self.connections.add(asyncio.current_task())
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(
                    line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line
                )
                body = await reader.readexactly(int(fields.get("content-length", 0)))
                self.in_progress += 1
                self.most_in_progress = max(self.most_in_progress, self.in_progress)
                try:
                    await self.reply(head, fields, body, reader, writer)
                finally:
                    self.in_progress -= 1
                await writer.drain()
        writer.transport.abort()
        self.connections.discard(asyncio.current_task())

    async def reply(
        self,
        head: str,
        fields: dict[str, str],
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Reply to one request, with a fault or without; a client that has ended gets no reply."""
        if not head.startswith("POST"):
            writer.write(response(200, b"{}"))
            return
        request: dict[str, Any] = json.loads(body)
        prompt = request.get("prompt") or request["messages"][-1]["content"]
        if isinstance(prompt, list):
            prompt = " ".join(map(str, prompt))
        if self.key and fields.get("authorization") != f"bearer {self.key}".lower():
            writer.write(error(401, f"Incorrect API key provided: {fields.get('authorization')}"))
            return
        if self.model and request["model"] != self.model:
            writer.write(error(404, f"The model {request['model']} does not exist"))
            return
        if len(prompt) > CONTEXT:
            writer.write(error(400, "This model's maximum context length is exceeded"))
            return
        if "forbidden" in prompt:
            writer.write(error(400, "The prompt is not allowed"))
            return
        odd = self.always or prompt
        if odd in ODD_REPLIES:
            self.record(odd, prompt, request)
            writer.write(ODD_REPLIES[odd])
            await writer.drain()
            writer.close()
            return
        is_faulty = self.random.random() < self.fault_share
        kind = self.random.choice(self.faults) if is_faulty else "good"
        if kind not in ("429", "429_retry_after", "reset"):
            await asyncio.sleep(self.latency)
        if reader.at_eof() or writer.transport.is_closing():
            return
        self.record(kind, prompt, request)
        used = {name: request[name] for name in request if name not in self.ignores}
        await self.send(kind, good_reply(prompt, used), writer)

    async def send(self, kind: str, reply: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """Send a reply of a kind: "good" or a fault."""
        if kind == "reset":
            writer.transport.abort()
        elif kind == "hang":
            await asyncio.Event().wait()
        elif kind == "slow_drip":
            for byte in response(200, json.dumps(reply).encode()):
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.5)
        else:
            writer.write(self.content(kind, reply))
        if kind == "short_body":
            await writer.drain()
            writer.close()
        if kind == "late_duplicate":  # The client may have sent its next request in between.
            await writer.drain()
            await asyncio.sleep(0.005)
            writer.write(self.content("good", reply))

    def content(self, kind: str, reply: dict[str, Any]) -> bytes:
        """Return the bytes of a reply of a kind that is sent at once."""
        body = json.dumps(reply).encode()
        match kind:
            case "429_retry_after":
                return error(429, "Slow down", retry_after=self.retry_after)
            case "429":
                return error(429, "Slow down")
            case "500":
                return error(500, "Internal error")
            case "truncated_json":
                return response(200, body[: len(body) // 2])
            case "short_body":
                return response(200, body)[:-10]
            case "empty_choices":
                return response(200, b'{"choices": []}')
            case "wrong_type":
                return response(200, b"<html>Busy</html>", content_type="text/html")
            case "duplicate_choice":
                twice = {**reply, "choices": 2 * reply["choices"]}
                return response(200, json.dumps(twice).encode())
            case "duplicate_reply":
                return 2 * response(200, body)
        return response(200, body)


def formatted(text: str, response_format: dict[str, Any] | None) -> str:
    """Return a text, or as OpenAI's JSON schema demands: an object with it in each field."""
    if response_format is None:
        return text
    assert response_format["type"] == "json_schema"
    named = response_format["json_schema"]
    schema = named["schema"]
    assert (named["strict"], schema["additionalProperties"]) == (True, False)
    assert all(kind == {"type": "string"} for kind in schema["properties"].values())
    assert schema["required"] == list(schema["properties"])
    return json.dumps(dict.fromkeys(schema["required"], text), ensure_ascii=False)


def good_reply(prompt: str, request: dict[str, Any]) -> dict[str, Any]:
    """Return the good reply to a prompt, of the API for chats or for texts.

    A repetition penalty changes its text. At a high temperature, the seed decides the text, unless
    only the likeliest token can be drawn.
    """
    text = formatted(answer_to(prompt), request.get("response_format"))
    if request.get("repetition_penalty", 1) != 1:
        text = f"{text} (penalised)"
    if request.get("temperature", 0) > 1 and request.get("top_k") != 1:
        text = f"{text} {request['seed']}"
    choice = {"message": {"content": text}} if "messages" in request else {"text": text}
    return {
        "choices": [{"index": 0, "finish_reason": "stop", **choice}],
        "usage": {"prompt_tokens": len(prompt.split()), "completion_tokens": len(text.split())},
    }


async def run(server: FaultyServer, port: int) -> None:
    """Serve until the standard input ends, then print the counts."""
    listener = await asyncio.start_server(server.serve, "127.0.0.1", port, backlog=1024)
    print(listener.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    counts = {"replies": server.counts, "most_in_progress": server.most_in_progress}
    print(json.dumps(counts), flush=True)


def main(
    *,
    latency: float = 0.0,
    fault_share: float = 0.0,
    faults: tuple[str, ...] = FAULTS,
    seed: int = 0,
    retry_after: str = "0.1",
    model: str = "",
    key: str = "",
    always: str = "",
    journal: Path | None = None,
    ignores: tuple[str, ...] = (),
    port: int = 0,
) -> None:
    """Serve until the standard input ends.

    Args:
        port: port on 127.0.0.1; 0 for any free port.
        latency: seconds until a reply.
        fault_share: share of the replies with a fault.
        faults: kinds of faults, equally likely.
        seed: seed of the faults.
        retry_after: value of the field Retry-After of a 429.
        model: the only model that is served; empty for any.
        key: the only API key that is accepted; empty for any.
        always: name of the odd reply to every prompt; empty for none. Without it, a prompt that is
            such a name gets this reply.
        journal: file with a line per reply: its kind, its prompt, the time and the request.
        ignores: parameters that the server passes over, without an error.
    """
    server = FaultyServer(
        latency, fault_share, faults, seed, retry_after, model, key, always, journal, ignores
    )
    asyncio.run(run(server, port))


if __name__ == "__main__":
    tyro.cli(main)
