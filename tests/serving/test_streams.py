"""Streamed chat completions: held until they are corrected, or observed."""

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
from served_squads import CHAT, Served, chat_body, serve_squad
from starlette.types import Message

from aligners.serving.errors import ApiError
from aligners.serving.http import replies
from aligners.serving.http.replies import EventResponse

BAD, GOOD = (
    "say: a bad answer with some more words in it",
    "a good answer with some more words in it",
)
USAGE = {"include_usage": True}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_squad() as running:
        yield running


@pytest.fixture(scope="module")
def observing() -> Iterator[Served]:
    with serve_squad(stream="observe", ping_seconds=0.2) as running:
        yield running


def events_of(text: str) -> list[dict[str, Any]]:
    """Return the chunks of a stream, and check that it has the form of one."""
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    assert all(block.startswith("data: ") for block in blocks)
    assert blocks[-1] == "data: [DONE]"
    return [json.loads(block.removeprefix("data: ")) for block in blocks[:-1]]


def text_of(chunks: list[dict[str, Any]], index: int = 0) -> str:
    return "".join(
        choice["delta"].get("content") or ""
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["index"] == index
    )


def finishes(chunks: list[dict[str, Any]]) -> list[tuple[int, str]]:
    return [
        (choice["index"], choice["finish_reason"])
        for chunk in chunks
        for choice in chunk["choices"]
        if choice["finish_reason"]
    ]


def test_a_stream_is_corrected_before_it_is_sent(served: Served) -> None:
    response = served.ask(BAD, stream=True, stream_options=USAGE)
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.headers["x-accel-buffering"] == "no"
    assert response.headers["x-aligners-action"] == "corrected"
    assert response.headers["x-request-id"] == "up-1"
    chunks = events_of(response.text)
    assert text_of(chunks) == GOOD
    assert {chunk["id"] for chunk in chunks} == {"chatcmpl-upstream-1"}
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert finishes(chunks) == [(0, "stop")]
    assert (chunks[-1]["choices"], chunks[-1]["usage"]["total_tokens"]) == ([], 12)
    assert chunks[-1]["aligners"]["action"] == "corrected"
    assert "bad" not in response.text


def test_a_long_correction_comes_in_several_chunks(served: Served) -> None:
    words = " ".join(f"bad{number}" for number in range(50))
    chunks = events_of(served.ask(f"say: {words}", stream=True).text)
    assert text_of(chunks) == words.replace("bad", "good")
    assert sum(bool(chunk["choices"][0]["delta"].get("content")) for chunk in chunks) > 3


def test_usage_comes_only_if_the_client_asks_for_it(served: Served) -> None:
    assert not any("usage" in chunk for chunk in events_of(served.ask(BAD, stream=True).text))


def test_an_unchanged_stream_stays_as_it_came(served: Served) -> None:
    chunks = events_of(served.ask("say: one two three four", stream=True).text)
    assert text_of(chunks) == "one two three four"
    assert chunks[-1]["aligners"]["reason"] == "above_threshold"
    assert len(chunks) == 4


def test_each_choice_of_a_stream_is_corrected(served: Served) -> None:
    chunks = events_of(served.ask(BAD, stream=True, n=2).text)
    assert text_of(chunks, 0) == GOOD
    assert text_of(chunks, 1) == f"{GOOD} number 1"
    assert sorted(finishes(chunks)) == [(0, "stop"), (1, "stop")]


def test_only_the_choice_that_needs_it_is_corrected(served: Served) -> None:
    body = served.ask("say: stubborn bad", stream=True, n=2).text
    assert text_of(events_of(body), 0) == "stubborn bad"


def test_tool_calls_of_a_stream_are_sent_as_they_came(served: Served) -> None:
    chunks = events_of(served.ask(BAD, fault="tool", stream=True).text)
    calls = [chunk["choices"][0]["delta"].get("tool_calls") for chunk in chunks]
    assert any(call and call[0]["function"]["name"] == "weather" for call in calls)
    assert chunks[-1]["aligners"]["reason"] == "tool_calls"
    assert finishes(chunks) == [(0, "tool_calls")]


@pytest.mark.parametrize(
    ("fault", "extra", "reason"),
    [
        ("length", {}, "cut_off"),
        ("content_filter", {}, "content_filter"),
        ("refusal", {}, "refusal"),
        ("audio", {}, "not_text"),
        ("", {"response_format": {"type": "json_object"}}, "json_mode"),
    ],
)
def test_what_is_never_touched_in_a_stream_is_told(
    served: Served, fault: str, extra: dict[str, Any], reason: str
) -> None:
    response = served.ask(BAD, fault=fault, stream=True, **extra)
    assert events_of(response.text)[-1]["aligners"]["reason"] == reason
    assert "good" not in response.text


def test_thoughts_of_a_stream_are_kept(served: Served) -> None:
    response = served.ask(BAD, fault="thinking", stream=True)
    assert "a bad thought" in response.text
    assert text_of(events_of(response.text)) == GOOD


def test_a_trace_stands_in_the_last_chunk(served: Served) -> None:
    response = served.ask(BAD, stream=True, headers={"x-aligners-trace": "1"})
    *others, last = events_of(response.text)
    assert not any("aligners" in chunk for chunk in others)
    assert last["aligners"]["choices"][0]["response"] == BAD.removeprefix("say: ")


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ("401", 401),
        ("429", 429),
        ("500", 500),
        ("closes", 502),
        ("resets", 502),
        ("garbage", 502),
        ("error_event", 503),
        ("html", 502),
        ("no_choices", 502),
        ("redirect", 502),
    ],
)
def test_before_the_first_byte_errors_have_their_status(
    served: Served, fault: str, status: int
) -> None:
    response = served.ask(BAD, fault=fault, stream=True)
    assert response.status_code == status
    assert response.json()["error"]["message"]
    assert "a bad" not in response.text


def test_a_connection_that_breaks_after_the_end_loses_nothing(
    served: Served, observing: Served
) -> None:
    held = served.ask("say: bad", fault="resets_after_end", stream=True)
    assert (held.status_code, held.headers["x-aligners-action"]) == (200, "corrected")
    observed = observing.ask("say: bad", fault="resets_after_end", stream=True)
    assert "error" not in observed.text and observed.text.endswith("data: [DONE]\n\n")


def test_a_stream_that_waits_gets_comments() -> None:
    with serve_squad(ping_seconds=0.1) as served:
        response = served.ask(BAD, fault="pauses", stream=True)
        assert response.text.startswith(": ping\n\n")
        chunks = events_of(response.text)
        assert text_of(chunks) == GOOD
        assert "x-aligners-action" not in response.headers
        assert chunks[-1]["aligners"]["action"] == "corrected"


def test_an_error_after_the_first_byte_is_an_event() -> None:
    with serve_squad(ping_seconds=0.1, upstream_timeout=0.5) as served:
        response = served.ask(BAD, fault="hangs", stream=True)
        assert response.status_code == 200
        data = [block for block in response.text.split("\n\n") if block.startswith("data: ")]
        assert len(data) == 1
        assert json.loads(data[0].removeprefix("data: "))["error"]["code"] == "upstream_timeout"
        assert served.metric('aligners_upstream_errors_total{code="upstream_timeout"}') == 1


def test_an_observed_stream_ends_with_the_verdict(observing: Served) -> None:
    response = observing.ask(BAD, stream=True, stream_options=USAGE)
    chunks = events_of(response.text)
    assert text_of(chunks) == BAD.removeprefix("say: ")
    *others, last = chunks
    assert not any("aligners" in chunk for chunk in others)
    assert (last["aligners"]["action"], last["usage"]["total_tokens"]) == ("observed", 12)
    assert last["aligners"]["choices"][0]["aligned_response"] == GOOD
    assert finishes(chunks) == [(0, "stop")]


def test_an_observed_stream_that_needs_no_correction_says_so(observing: Served) -> None:
    told = events_of(observing.ask("say: fine", stream=True).text)[-1]["aligners"]
    assert told["action"] == "unchanged"


def test_an_observed_stream_arrives_while_the_upstream_writes(observing: Served) -> None:
    body = chat_body(BAD, fault="hangs", stream=True)
    with observing.client.stream("POST", CHAT, json=body) as response:
        for line in response.iter_lines():
            if "a bad" in line:
                break
        else:
            raise AssertionError("the beginning did not arrive")


@pytest.mark.parametrize("fault", ["closes", "resets", "garbage", "error_event"])
def test_an_observed_stream_that_breaks_ends_with_an_error(observing: Served, fault: str) -> None:
    response = observing.ask(BAD, fault=fault, stream=True)
    assert response.status_code == 200
    last = response.text.strip().split("\n\n")[-1]
    assert json.loads(last.removeprefix("data: "))["error"]["message"]
    assert "[DONE]" not in response.text


@pytest.mark.parametrize("reads_at_last", [True, False])
def test_a_time_limit_ends_a_stream_that_its_client_does_not_read(
    monkeypatch: pytest.MonkeyPatch, reads_at_last: bool
) -> None:
    monkeypatch.setattr(replies, "SECONDS_TO_READ", 60 if reads_at_last else 0.2)

    async def events() -> AsyncGenerator[bytes]:
        async with asyncio.timeout(0.2):
            while True:
                yield b"data: {}\n\n"

    async def run() -> None:
        sent: list[Message] = []
        errors: list[ApiError] = []
        reads, left = asyncio.Event(), asyncio.Event()

        async def send(message: Message) -> None:
            sent.append(message)
            await reads.wait()

        async def receive() -> Message:
            await left.wait()
            return {"type": "http.disconnect"}

        response = EventResponse(events(), 1, [], errors.append)
        task = asyncio.create_task(response({"type": "http"}, receive, send))
        await asyncio.sleep(1)
        if reads_at_last:
            reads.set()
        await asyncio.wait_for(task, 60)
        assert [error.error["code"] for error in errors] == ["upstream_timeout"]
        if reads_at_last:
            assert b"did not read" in sent[-1]["body"] and not sent[-1]["more_body"]
        else:
            assert [message["type"] for message in sent] == ["http.response.start"]

    asyncio.run(run())


def test_an_observed_stream_cannot_be_refused(observing: Served) -> None:
    refuse = {"x-aligners-on-error": "refuse"}
    answer = observing.ask("say: bad cuda memory", headers=refuse, stream=True)
    assert '"action": "failed"' in answer.text
    assert "no answer is given" not in answer.text


def test_an_observed_stream_keeps_early_errors(observing: Served) -> None:
    assert observing.ask(BAD, fault="401", stream=True).status_code == 401


def test_a_request_can_ask_an_observing_server_to_hold(observing: Served) -> None:
    response = observing.ask(BAD, stream=True, headers={"x-aligners-stream": "hold"})
    assert text_of(events_of(response.text)) == GOOD


def test_a_request_cannot_ask_a_holding_server_to_observe(served: Served) -> None:
    response = served.ask(BAD, stream=True, headers={"x-aligners-stream": "observe"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "x-aligners-stream"
