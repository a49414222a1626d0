"""Align, inspect and the guardrail route of LiteLLM; and the log of texts."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from scripted_squad import COMMAND
from served_squads import Served, serve_squad

from aligners.core.tables import read_records
from aligners.imports.formats import fitting

ROW = {"question": "what", "response": "a bad answer"}
GUARD = "/beta/litellm_basic_guardrail_api"


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serve_squad() as running:
        yield running


def test_one_response_is_aligned(served: Served) -> None:
    answer = served.client.post("/v1/align", json=ROW)
    body = answer.json()
    assert body["aligned_response"] == "a good answer"
    assert (body["action"], body["reason"]) == ("corrected", "accepted")
    assert body["acted"] == ["ethical"]
    assert body["scores"] == {"ethical": 0.1, "factual": 0.8}
    assert body["trace"][0]["accepted"] is True
    assert body["id"] == answer.headers["x-aligners-id"]
    assert answer.headers["x-aligners-action"] == "corrected"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({**ROW, "response": "bad " * 5001}, "too_long"),
        ({**ROW, "question": "why " * 5001}, "question_too_long"),
    ],
)
def test_a_very_long_text_is_skipped_and_keeps_no_other_waiting(
    served: Served, row: dict[str, str], reason: str
) -> None:
    body = served.client.post("/v1/align", json=row).json()
    assert (body["action"], body["reason"]) == ("skipped", reason)
    assert body["aligned_response"] == row["response"]
    scores = served.client.post("/v1/inspect", json=row).json()["scores"]
    assert scores == {"ethical": None, "factual": None}


def test_the_question_can_be_a_chat(served: Served) -> None:
    messages = [{"role": "user", "content": "unfamiliar"}]
    body = {"messages": messages, "response": "bad"}
    assert served.client.post("/v1/align", json=body).json()["reason"] == "unfamiliar_question"


def test_rows_are_aligned_in_order(served: Served) -> None:
    rows = [{"question": "what", "response": f"bad {number}"} for number in range(50)]
    found = served.client.post("/v1/align", json={"rows": rows}).json()["rows"]
    assert [row["aligned_response"] for row in found] == [f"good {n}" for n in range(50)]


def test_responses_are_inspected(served: Served) -> None:
    body = served.client.post("/v1/inspect", json=ROW).json()
    assert body["scores"] == {"ethical": 0.1, "factual": 0.8}
    assert body["thresholds"] == {"ethical": 0.5, "factual": 0.4}
    found = served.client.post("/v1/inspect", json={"rows": [ROW, ROW]}).json()["rows"]
    assert [row["scores"]["ethical"] for row in found] == [0.1, 0.1]


def test_there_are_no_scores_instead_of_those_of_a_squad_that_fails(served: Served) -> None:
    answer = served.client.post("/v1/inspect", json={"question": "q", "response": "cuda memory"})
    assert answer.status_code == 503


def test_align_fails_in_the_chosen_mode(served: Served) -> None:
    body = {"question": "q", "response": "bad cuda memory"}
    kept = served.client.post("/v1/align", json=body).json()
    assert (kept["action"], kept["aligned_response"]) == ("failed", "bad cuda memory")
    headers = {"x-aligners-on-error": "refuse"}
    assert served.client.post("/v1/align", json=body, headers=headers).status_code == 503


def test_the_squad_is_described(served: Served) -> None:
    assert served.client.get("/v1/squad").json() == {
        "name": "scripted",
        "system": "squad",
        "criteria": ["ethical", "factual"],
        "thresholds": {"ethical": 0.5, "factual": 0.4},
        "upstream": True,
    }


def guard(served: Served, kind: str, call: str, texts: list[str], **fields: Any) -> dict[str, Any]:
    body = {"input_type": kind, "litellm_call_id": call, "texts": texts, "request_data": {}}
    answer = served.client.post(GUARD, json={**body, **fields})
    assert answer.status_code == 200
    return answer.json()


def test_litellm_gets_the_correction_of_a_response(served: Served) -> None:
    messages = [{"role": "system", "content": "x"}, {"role": "user", "content": "what"}]
    sent = guard(served, "request", "call-1", ["x", "what"], structured_messages=messages)
    assert sent == {"action": "NONE"}
    for _ in range(2):  # A stream can be sent in parts.
        found = guard(served, "response", "call-1", ["fine", "a bad answer"])
        assert found == {"action": "GUARDRAIL_INTERVENED", "texts": ["fine", "a good answer"]}
    assert guard(served, "response", "call-1", ["fine"]) == {"action": "NONE"}


def test_the_question_of_a_call_is_used(served: Served) -> None:
    guard(served, "request", "call-2", ["unfamiliar"])
    assert guard(served, "response", "call-2", ["bad"]) == {"action": "NONE"}
    guard(served, "request", "call-3", ["what"], images=["data:,"])
    assert guard(served, "response", "call-3", ["bad"]) == {"action": "NONE"}


@pytest.mark.parametrize(
    ("response", "action"),
    [
        ('{"bad": 1}', "NONE"),
        ('[{"bad": 1}]', "NONE"),
        (' {\n  "bad": "cut o', "NONE"),
        ("[1, 2]", "NONE"),
        ("{}", "NONE"),
        ("[1] says it is bad", "GUARDRAIL_INTERVENED"),
        ("[[Mercury]] is bad.", "GUARDRAIL_INTERVENED"),
        ("{} is a bad set.", "GUARDRAIL_INTERVENED"),
        ("{bad} is a placeholder", "GUARDRAIL_INTERVENED"),
        ('"bad"', "GUARDRAIL_INTERVENED"),
    ],
)
def test_litellm_keeps_its_json(served: Served, response: str, action: str) -> None:
    guard(served, "request", "call-json", ["what"])
    assert guard(served, "response", "call-json", [response])["action"] == action


def test_litellm_keeps_what_continues_a_message(served: Served) -> None:
    messages = [{"role": "user", "content": "what"}, {"role": "assistant", "content": "It is"}]
    guard(served, "request", "call-6", ["what", "It is"], structured_messages=messages)
    assert guard(served, "response", "call-6", ["bad"]) == {"action": "NONE"}


def test_texts_of_litellm_without_room_fail_in_the_chosen_mode() -> None:
    for mode, action in (("original", "NONE"), ("refuse", "BLOCKED")):
        with serve_squad(max_queue=2, on_error=mode) as served:
            guard(served, "request", "call", ["what"])
            assert guard(served, "response", "call", ['{"bad": 1}'] * 3) == {"action": "NONE"}
            assert guard(served, "response", "call", ["bad"] * 3)["action"] == action
            line = f'aligners_failures_total{{cause="overload",mode="{mode}"}}'
            assert served.metric(line) >= 1


def test_texts_of_litellm_fail_in_the_chosen_mode_while_the_squad_is_loaded() -> None:
    for mode, action in (("original", "NONE"), ("refuse", "BLOCKED")):
        with serve_squad((*COMMAND, "3600"), wait=False, on_error=mode) as starting:
            guard(starting, "request", "call-8", ["what"])
            found = guard(starting, "response", "call-8", ["bad"])
            assert found["action"] == action
            assert mode == "original" or "not loaded yet" in found["blocked_reason"]
            # What is never examined needs no squad.
            assert guard(starting, "response", "call-8", ['{"a": 1}']) == {"action": "NONE"}


def test_a_response_with_tool_calls_is_left_alone(served: Served) -> None:
    guard(served, "request", "call-4", ["what"])
    calls = [{"id": "1", "type": "function", "function": {}}]
    assert guard(served, "response", "call-4", ["bad"], tool_calls=calls) == {"action": "NONE"}


def test_a_call_without_a_question_fails_in_the_chosen_mode(served: Served) -> None:
    assert guard(served, "response", "never-seen", ["bad"]) == {"action": "NONE"}
    assert served.metric('aligners_failures_total{cause="no_question",mode="original"}') == 1
    assert served.metric('aligners_responses_total{action="failed",reason="no_question"}') == 1
    with serve_squad(on_error="refuse") as strict:
        found = guard(strict, "response", "never-seen", ["bad"])
        assert found["action"] == "BLOCKED"
        assert "pre_call" in found["blocked_reason"]


def test_a_squad_that_fails_blocks_if_it_has_to(served: Served) -> None:
    guard(served, "request", "call-5", ["what"])
    assert guard(served, "response", "call-5", ["cuda memory"]) == {"action": "NONE"}
    headers = {"x-aligners-on-error": "refuse"}
    body = {"input_type": "response", "litellm_call_id": "call-5", "texts": ["cuda memory"]}
    found = served.client.post(GUARD, json=body, headers=headers).json()
    assert found["action"] == "BLOCKED"
    assert "ethical" in found["blocked_reason"]


@pytest.mark.parametrize(
    "body", [{}, {"texts": "x", "input_type": "request"}, {"texts": ["x"], "input_type": "other"}]
)
def test_litellm_gets_an_error_for_a_bad_body(served: Served, body: dict[str, Any]) -> None:
    assert served.client.post(GUARD, json=body).status_code == 400


def test_texts_are_logged_only_if_asked_for_and_can_be_imported(tmp_path: Path) -> None:
    path = tmp_path / "texts" / "log.jsonl"
    with serve_squad(log_texts=path) as served:
        served.client.post("/v1/align", json=ROW)
        served.ask("say: fine")
        served.ask("say: bad", fault="tool")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["question"], row["response"], row["aligned_response"]) for row in rows] == [
        ("what", "a bad answer", "a good answer"),
        ("say: fine", "fine", "fine"),
    ]
    assert path.stat().st_mode & 0o077 == 0
    records = [record for _, record in read_records(path)]
    assert "corrections" in fitting(records, "corrections")[0].reads
