"""Requests that a client has to change: errors as OpenAI's API has them."""

import json
import socket
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from served_squads import CHAT, Served, serve_squad

USER = {"role": "user", "content": "hello"}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_squad(max_body_mb=0.1) as running:
        yield running


def check_error(answer: Any, status: int, code: str) -> dict[str, Any]:
    """Check the form of an error, and return it."""
    assert answer.status_code == status
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() == {"message", "type", "param", "code"}
    assert body["error"]["code"] == code
    return body["error"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"no json", "invalid_json"),
        (b'{"messages": [', "invalid_json"),
        (b"\xff\xfe\x00", "invalid_json"),
        (b"[]", "invalid_json"),
        (b"null", "invalid_json"),
        (b"[" * 100_000, "invalid_json"),
        (b'{"messages": [{"role": "user", "content": "half \\ud800"}]}', "invalid_unicode"),
        (b"{}", "no_messages"),
        (b'{"messages": []}', "no_messages"),
        (b'{"messages": "hello"}', "no_messages"),
        (b'{"messages": null}', "no_messages"),
    ],
)
def test_bodies_without_messages(served: Served, body: bytes, code: str) -> None:
    check_error(served.client.post(CHAT, content=body), 400, code)


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("hello", "messages[1]"),
        ({"role": "wizard", "content": "hello"}, "messages[1].role"),
        ({"content": "hello"}, "messages[1].role"),
        ({"role": ["user"], "content": "hello"}, "messages[1].role"),
        ({"role": "user", "content": 3}, "messages[1].content"),
        ({"role": "user", "content": {"text": "hello"}}, "messages[1].content"),
        ({"role": "user", "content": ["hello"]}, "messages[1].content"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[1].content[0]"),
        ({"role": "user", "content": [{"type": "text", "text": 3}]}, "messages[1].content[0]"),
    ],
)
def test_messages_that_cannot_be_read(served: Served, message: Any, param: str) -> None:
    answer = served.client.post(CHAT, json={"messages": [USER, message]})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/../chat/completions/x",
        "/v1/models/../responses/x",
        "/v1/models/%2e%2e/responses/x",
        "/v1/models/..%2F..%2Fslots",
        "/v1/models/..;x=1/responses",
        "/v1/models/..%5Cslots",
        "/v1/models/.",
    ],
)
def test_no_path_leads_round_the_squad(served: Served, path: str) -> None:
    status, error = get(served, path)
    assert (status, error["code"]) == (400, "bad_path")
    assert not [url for url in served.record.urls if "slots" in url or "responses" in url]


@pytest.mark.parametrize(
    "target", ["%2Fv1%2Fmodels%2F@127.0.0.1:9/x", "/%76%31/models/a", "/v1%2Fmodels/a"]
)
def test_no_path_changes_the_host_of_the_upstream(target: str) -> None:
    with serve_squad() as served:
        served.service.upstream.base = served.service.upstream.base.removesuffix("/v1")
        host, port = urlsplit(served.url).netloc.split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            head = f"GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
            connection.sendall(head.encode())
            reply = b"".join(iter(lambda: connection.recv(65536), b""))
        assert reply.startswith(b"HTTP/1.1 4") and b"upstream" not in reply
        assert not served.record.paths


@pytest.mark.parametrize(
    "name", ["tiny", "owner/tiny", "owner%2Ftiny", "%252e%252e", "a%3Fb", "%00"]
)
def test_the_upstream_gets_a_path_as_the_client_wrote_it(served: Served, name: str) -> None:
    assert get(served, f"/v1/models/{name}")[0] == 404
    assert served.record.paths[-1] == f"/v1/models/{name}"


def get(served: Served, path: str) -> tuple[int, dict[str, Any]]:
    """Return status and error of a path that is sent as it is."""
    connection = HTTPConnection(urlsplit(served.url).netloc, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = json.loads(answer.read())
    connection.close()
    return answer.status, found["error"]


@pytest.mark.parametrize("number", [0, -1, 1.5, "2", True, []])
def test_numbers_of_choices_that_cannot_be(served: Served, number: Any) -> None:
    answer = served.client.post(CHAT, json={"messages": [USER], "n": number})
    assert check_error(answer, 400, "invalid_n")["param"] == "n"


def test_a_long_value_is_cut_in_the_message(served: Served) -> None:
    message = {"role": "wizard" * 10_000, "content": "hello"}
    answer = served.client.post(CHAT, json={"messages": [message]})
    assert answer.status_code == 400
    assert len(answer.text) < 1000


def test_the_log_has_no_text_of_a_request(served: Served, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG", logger="aligners"):
        served.client.post(CHAT, json={"messages": [{"role": "sesame", "content": "sesame"}]})
        served.ask("say: sesame")
        served.ask("say: sesame and cuda memory")
        served.client.get("/health")  # The lines of a request are written before the next one.
    messages = [record.getMessage() for record in caplog.records if "aligners" in record.name]
    assert len(messages) > 3
    assert not any("sesame" in message for message in messages)


def test_stream_is_true_or_false(served: Served) -> None:
    answer = served.client.post(CHAT, json={"messages": [USER], "stream": "yes"})
    check_error(answer, 400, "invalid_stream")


def test_two_system_messages_are_fine(served: Served) -> None:
    system = {"role": "system", "content": "be brief"}
    answer = served.client.post(CHAT, json={"messages": [system, system, USER]})
    assert answer.status_code == 200


def test_bodies_that_are_too_large(served: Served) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": "x" * 200_000}]}).encode()
    check_error(served.client.post(CHAT, content=body), 413, "body_too_large")

    def parts() -> Iterator[bytes]:
        yield from (body[start : start + 10_000] for start in range(0, len(body), 10_000))

    check_error(served.client.post(CHAT, content=parts()), 413, "body_too_large")


def test_a_body_that_never_ends_is_not_read_for_ever(served: Served) -> None:
    parts = urlsplit(served.url)
    with socket.create_connection((parts.hostname, parts.port), timeout=30) as connection:
        head = f"POST {CHAT} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode())
        piece = b"2710\r\n" + b"x" * 10_000 + b"\r\n"
        sent = 0
        with pytest.raises(OSError):  # The server closes the connection.
            while sent < 100 * 100_000:
                connection.sendall(piece)
                sent += 10_000
            raise AssertionError("all was read")


def test_nothing_reaches_the_upstream(served: Served) -> None:
    begun = served.record.begun
    served.client.post(CHAT, json={"messages": [USER], "n": 0})
    assert served.record.begun == begun


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 405),
        ("DELETE", "/v1/align", 405),
        ("POST", "/health", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/", 404),
        ("GET", f"{CHAT}/", 501),
        ("GET", "/v1/files", 501),
    ],
)
def test_other_paths_and_methods(served: Served, method: str, path: str, status: int) -> None:
    answer = served.client.request(method, path)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "headers",
    [{"x-aligners-trace": "yes"}, {"x-aligners-on-error": "ignore"}, {"x-aligners-skip": "1"}],
)
def test_headers_that_the_server_does_not_know(served: Served, headers: dict[str, str]) -> None:
    answer = served.ask(headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] in headers


@pytest.mark.parametrize("path", ["/v1/align", "/v1/inspect"])
@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "no_question"),
        ({"question": "what"}, "no_response"),
        ({"question": "what", "response": None}, "no_response"),
        ({"question": 1, "response": "that"}, "no_question"),
        ({"messages": [], "response": "that"}, "no_messages"),
        ({"messages": [{"role": "tool", "content": "x"}], "response": "that"}, "no_question"),
        (
            {"question": "q", "messages": [{"role": "user", "content": "q"}], "response": "r"},
            "two_questions",
        ),
        ({"rows": []}, "bad_rows"),
        ({"rows": ["that"]}, "bad_rows"),
        ({"rows": [{"question": "what"}]}, "no_response"),
        ({"question": "what", "response": "half \ud800"}, "invalid_unicode"),
    ],
)
def test_rows_that_cannot_be_read(
    served: Served, path: str, body: dict[str, Any], code: str
) -> None:
    check_error(served.client.post(path, content=json.dumps(body)), 400, code)


def test_more_rows_than_can_wait(served: Served) -> None:
    rows = [{"question": "what", "response": "that"}] * 513
    check_error(served.client.post("/v1/align", json={"rows": rows}), 413, "too_many_rows")
