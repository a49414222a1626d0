"""Whole chat completions: what is corrected, what is not, and what reaches the upstream."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from served_squads import CHAT, Served, chat_body, serve_squad

BAD, GOOD = "say: a bad answer", "a good answer"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_squad() as running:
        yield running


def content_of(body: dict[str, Any], index: int = 0) -> Any:
    return body["choices"][index]["message"]["content"]


def test_a_response_below_a_threshold_is_corrected(served: Served) -> None:
    response = served.ask(BAD)
    body = response.json()
    assert content_of(body) == GOOD
    assert (body["id"], body["model"], body["system_fingerprint"]) == (
        "chatcmpl-upstream-1",
        "tiny",
        "fp_1",
    )
    assert body["usage"]["total_tokens"] == 12
    headers = response.headers
    assert headers["x-aligners-action"] == "corrected"
    assert headers["x-aligners-reason"] == "accepted"
    assert headers["x-aligners-acted"] == "ethical"
    assert float(headers["x-aligners-upstream-ms"]) > 0
    assert float(headers["x-aligners-overhead-ms"]) > 0
    assert headers["x-request-id"] == "up-1"
    assert headers.get_list("x-aligners-id") != ["x"]
    assert "aligners" not in body


def test_headers_with_any_characters_pass_both_ways(served: Served) -> None:
    name = "Zoë 東京".encode()
    answer = served.client.post(CHAT, json=chat_body(BAD), headers={"x-user": name})
    assert answer.status_code == 200
    assert served.record.headers[-1]["x-user"].encode("latin-1") == name
    assert dict(answer.headers.raw)[b"x-name"] == name


def test_a_response_above_the_thresholds_is_sent_byte_by_byte(served: Served) -> None:
    response = served.ask("say: a fine answer")
    assert response.headers["x-aligners-action"] == "unchanged"
    assert response.headers["x-aligners-reason"] == "above_threshold"
    assert response.headers["x-aligners-acted"] == ""
    assert b'"id":"chatcmpl-upstream-1","object"' in response.content  # compact, as it came


def test_a_rejected_correction_is_not_used(served: Served) -> None:
    response = served.ask("say: a stubborn bad answer")
    assert content_of(response.json()) == "a stubborn bad answer"
    assert response.headers["x-aligners-action"] == "unchanged"
    assert response.headers["x-aligners-reason"] == "rose_too_little"


def test_the_upstream_gets_the_body_byte_by_byte(served: Served) -> None:
    body = (
        b'{ "model": "tiny", "messages": [{"role": "user", "content": "say: \\u00e9"}],\n'
        b'"temperature": 0.30000000000000004, "max_tokens":null, "own": {"seed": 1e2}, "n":1}'
    )
    headers = {"content-type": "application/json", "x-own": "kept", "x-aligners-trace": "0"}
    response = served.client.post(f"{CHAT}?api-version=2", content=body, headers=headers)
    assert response.status_code == 200
    assert served.record.bodies[-1] == body
    assert served.record.urls[-1].endswith("/v1/chat/completions?api-version=2")
    assert served.record.headers[-1]["x-own"] == "kept"
    assert "x-aligners-trace" not in served.record.headers[-1]


def test_each_choice_is_corrected(served: Served) -> None:
    response = served.ask(BAD, n=3)
    texts = [content_of(response.json(), index) for index in range(3)]
    assert texts == [GOOD, f"{GOOD} number 1", f"{GOOD} number 2"]
    assert response.headers["x-aligners-action"] == "corrected"


@pytest.mark.parametrize(
    ("fault", "extra", "reason"),
    [
        ("tool", {}, "tool_calls"),
        ("function_call", {}, "tool_calls"),
        ("refusal", {}, "refusal"),
        ("audio", {}, "not_text"),
        ("length", {}, "cut_off"),
        ("content_filter", {}, "content_filter"),
        ("", {"response_format": {"type": "json_object"}}, "json_mode"),
        ("", {"response_format": {"type": "json_schema", "json_schema": {}}}, "json_mode"),
        ("", {"guided_json": {"type": "object"}}, "json_mode"),
        ("", {"continue_final_message": True}, "continuation"),
    ],
)
def test_what_is_never_touched_is_told(
    served: Served, fault: str, extra: dict[str, Any], reason: str
) -> None:
    response = served.ask(BAD, fault=fault, **extra)
    assert response.status_code == 200
    assert response.headers["x-aligners-action"] == "skipped"
    assert response.headers["x-aligners-reason"] == reason
    assert "good" not in response.text


def test_text_as_response_format_is_corrected(served: Served) -> None:
    assert content_of(served.ask(BAD, response_format={"type": "text"}).json()) == GOOD


def test_the_squad_skips_what_it_does_not_know(served: Served) -> None:
    response = served.ask("unfamiliar bad question")
    assert response.headers["x-aligners-action"] == "skipped"
    assert response.headers["x-aligners-reason"] == "unfamiliar_question"


def test_thoughts_are_kept(served: Served) -> None:
    message = served.ask(BAD, fault="thinking").json()["choices"][0]["message"]
    assert message["content"] == GOOD
    assert message["reasoning_content"] == "a bad thought"


def test_parts_of_a_response_keep_their_form(served: Served) -> None:
    body = served.ask(BAD, fault="parts").json()
    assert content_of(body) == [
        {"type": "thinking", "thinking": "hm"},
        {"type": "text", "text": GOOD},
    ]


def test_log_probabilities_of_the_first_response_do_not_stand_beside_another(
    served: Served,
) -> None:
    assert served.ask(BAD, logprobs=True).json()["choices"][0]["logprobs"] is None
    fine = served.ask("say: fine", logprobs=True).json()["choices"][0]
    assert fine["logprobs"] == {"content": []}


def test_the_question_is_the_last_message_of_the_user(served: Served) -> None:
    messages = [
        {"role": "system", "content": "one"},
        {"role": "system", "content": "another"},
        {"role": "user", "content": "first"},
        {"role": "assistant", "content": "an answer"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "unfamiliar"},
                {"type": "text", "text": "a bad thing"},
            ],
        },
    ]
    response = served.client.post(CHAT, json={"model": "tiny", "messages": messages})
    assert response.headers["x-aligners-reason"] == "unfamiliar_question"
    assert json.loads(served.record.bodies[-1])["messages"] == messages


def test_a_question_with_an_image_is_not_examined(served: Served) -> None:
    parts = [
        {"type": "text", "text": "a bad thing"},
        {"type": "image_url", "image_url": {"url": "data:,"}},
    ]
    messages = [{"role": "user", "content": parts}]
    response = served.client.post(CHAT, json={"model": "tiny", "messages": messages})
    assert response.headers["x-aligners-reason"] == "not_text"


def test_another_role_does_not_pass_the_squad_by(served: Served) -> None:
    messages = [{"role": "system", "content": "say: a bad thing"}]
    response = served.client.post(CHAT, json={"model": "tiny", "messages": messages})
    assert content_of(response.json()) == "a good thing"


def test_a_trace_tells_scores_and_turns(served: Served) -> None:
    body = served.ask(BAD, headers={"x-aligners-trace": "1"}, n=2).json()
    told = body["aligners"]
    assert told["action"] == "corrected"
    assert told["thresholds"] == {"ethical": 0.5, "factual": 0.4}
    first, second = told["choices"]
    assert (first["index"], second["index"]) == (0, 1)
    assert first["response"] == "a bad answer"
    assert first["scores"]["ethical"] == 0.1
    assert first["trace"][0]["criterion"] == "ethical"
    assert first["acted"] == ["ethical"]


def test_an_unchanged_response_has_a_trace_too(served: Served) -> None:
    body = served.ask("say: fine", headers={"x-aligners-trace": "1"}).json()
    assert body["aligners"]["choices"][0]["scores"] == {"ethical": 0.9, "factual": 0.8}
    assert content_of(body) == "fine"


def test_metrics_count_actions_turns_and_tokens(served: Served) -> None:
    before = served.metric('aligners_responses_total{action="corrected",reason="accepted"}')
    tokens = served.metric('aligners_tokens_total{kind="prompt"}')
    served.ask(BAD, n=2)
    labels = 'action="corrected",reason="accepted"'
    assert served.metric(f"aligners_responses_total{{{labels}}}") == before + 2
    assert served.metric('aligners_tokens_total{kind="prompt"}') == tokens + 7
    assert served.metric('aligners_turns_total{criterion="ethical",decision="acted"}') > 0
    assert served.metric('aligners_turns_total{criterion="ethical",decision="rejected"}') >= 0
    assert served.metric(f'aligners_requests_total{{{labels},route="{CHAT}",status="200"}}') > 0
    assert served.metric(f'aligners_overhead_seconds_count{{route="{CHAT}"}}') > 0
    assert served.metric("aligners_upstream_seconds_count") > 0
    assert served.metric("aligners_squad_ready") == 1


def test_models_are_those_of_the_upstream(served: Served) -> None:
    assert served.client.get("/v1/models").json()["data"][0]["id"] == "tiny"
