"""Formats of data: each is found by its columns, and its quirks are read or counted."""

from collections import Counter
from typing import Any

import pytest

from aligners.core.rows import Row
from aligners.imports.formats import (
    FORMATS,
    TEXTS_OF_KIND,
    Kind,
    fitting,
    format_of_columns,
    grouped,
    read_record,
)

Q, A, B = "Why is the sky blue?", "Because of scattering.", "It just is."


def user(text: Any) -> Row:
    """Return a message of the user."""
    return {"role": "user", "content": text}


def bot(text: Any, **fields: Any) -> Row:
    """Return a message of the assistant."""
    return {"role": "assistant", "content": text, **fields}


def shared(*turns: str) -> list[Row]:
    """Return turns as ShareGPT has them, from human and gpt in turn."""
    names = ("human", "gpt")
    return [{"from": names[n % 2], "value": text} for n, text in enumerate(turns)]


def hh(*texts: str) -> str:
    """Return a transcript of HH-RLHF."""
    names = ("Human", "Assistant")
    return "".join(f"\n\n{names[n % 2]}: {text}" for n, text in enumerate(texts))


def rated(helpfulness: int) -> Row:
    """Return scores as HelpSteer2 has them."""
    return {"helpfulness": helpfulness, "correctness": 3, "coherence": 4}


SYSTEM = {"role": "system", "content": "Be brief."}
TOOL_CALL = bot(None, tool_calls=[{"id": "1"}])
HISTORY = [["Hi.", "Hello."]]
RATED = [
    {"response": B, "overall_score": "10", "fine-grained_score": 1.0},
    {"response": A, "overall_score": 4.5, "fine-grained_score": 4.0},
    {"response": "?", "overall_score": "N/A"},
]
# For each format: its records, the kind, and of each record the row that it becomes, as a tuple of
# its texts (with the label or the system text at the end), or the reason to drop it; None for a
# record that is read together with the one before.
CASES: dict[str, tuple[Kind, list[tuple[Row, tuple[Any, ...] | str | None]]]] = {
    "aligner": ("corrections", [
        ({"question": Q, "answer": B, "correction": A}, (Q, B, A)),
        ({"question": Q, "answer": B, "correction": " "}, "empty"),
        ({"question": Q, "answer": None, "correction": A}, "empty"),
        ({"question": Q, "answer": 5, "correction": A}, "not_text"),
    ]),
    "pairs": ("corrections", [({"question": Q, "response": B, "aligned_response": A}, (Q, B, A))]),
    "helpsteer3-edit": ("corrections", [
        ({"context": [user(Q)], "original_response": B, "edited_response": A}, (Q, B, A)),
        ({"context": [SYSTEM, user(Q)], "original_response": B, "edited_response": A},
         (Q, B, A, "Be brief.")),
        ({"context": [bot(Q)], "original_response": B, "edited_response": A}, "no_prompt"),
    ]),
    "alpaca": ("responses", [
        ({"instruction": "Translate.", "input": "Ja", "output": "Yes"}, ("Translate.\nJa", "Yes")),
        ({"instruction": Q, "input": "", "output": A, "system": "Be brief."}, (Q, A, "Be brief.")),
        ({"instruction": Q, "output": ""}, "empty"),
        ({"instruction": Q, "output": A, "history": HISTORY}, (Q, A)),
        ({"instruction": Q, "output": A, "history": [["Hi."]]}, "not_text"),
        ({"instruction": Q, "output": [A, B]}, "not_text"),
    ]),
    "alpaca-preference": ("preferences", [
        ({"instruction": Q, "input": "", "chosen": A, "rejected": B}, (Q, A, B)),
        ({"instruction": Q, "input": "", "chosen": A, "rejected": ""}, "empty"),
    ]),
    "alpaca-ranked": ("preferences", [
        ({"instruction": Q, "output": [A, B, "?"]}, (Q, A, B)),
        ({"instruction": Q, "output": [A]}, "empty"),
    ]),
    "sharegpt": ("responses", [
        ({"conversations": shared(Q, A)}, (Q, A)),
        ({"conversations": [{"from": "system", "value": "Be brief."}, *shared(Q, A)]},
         (Q, A, "Be brief.")),
        ({"conversations": shared("Hi.", "Hello.", Q, A)}, (Q, A)),
        ({"conversations": shared(Q, A, "Thanks.")}, (Q, A)),
        ({"conversations": shared(Q)}, "no_prompt"),
        ({"conversations": [*shared(Q), {"from": "function_call", "value": "{}"}]}, "tool_call"),
    ]),
    "sharegpt-preference": ("preferences", [
        ({"conversations": shared(Q), "chosen": {"from": "gpt", "value": A},
          "rejected": {"from": "gpt", "value": B}}, (Q, A, B)),
    ]),
    "messages": ("responses", [
        ({"messages": [SYSTEM, user(Q), bot(A)]}, (Q, A, "Be brief.")),
        ({"messages": [{"role": "developer", "content": "Be brief."}, user(Q), bot(A)]},
         (Q, A, "Be brief.")),
        ({"messages": [user([{"type": "text", "text": Q}]), bot(A)]}, (Q, A)),
        ({"messages": [user([{"type": "image_url"}]), bot(A)]}, "not_text"),
        ({"messages": [user(Q), TOOL_CALL]}, "tool_call"),
        ({"messages": []}, "no_prompt"),
    ]),
    "trl-preference": ("preferences", [
        ({"prompt": Q, "chosen": f" {A}", "rejected": f" {B}"}, (Q, A, B)),
        ({"prompt": [user(Q)], "chosen": [bot(A)], "rejected": [bot(B)]}, (Q, A, B)),
        ({"prompt": Q, "chosen": A, "rejected": f"{A}\n"}, "equal"),
    ]),
    "transcripts": ("preferences", [
        ({"chosen": hh(Q, A), "rejected": hh(Q, B)}, (Q, A, B)),
        ({"chosen": hh("Hi.", "Hello.", Q, A), "rejected": hh("Hi.", "Hello.", Q, B)}, (Q, A, B)),
        ({"chosen": hh(Q, A), "rejected": hh("How?", B)}, "prompts_differ"),
        ({"chosen": [user(Q), bot(A)], "rejected": [user(Q), bot(B)]}, (Q, A, B)),
    ]),
    "argilla": ("preferences", [
        ({"instruction": Q, "chosen_response": A, "rejected_response": B}, (Q, A, B)),
    ]),
    "intel": ("preferences", [
        ({"question": Q, "chosen": A, "rejected": B}, (Q, A, B)),
        ({"system": "Be brief.", "question": Q, "chosen": A, "rejected": B},
         (Q, A, B, "Be brief.")),
    ]),
    "kto-chat": ("labels", [
        ({"messages": [user(Q), bot(A)], "kto_tag": True}, (Q, A, 1)),
        ({"messages": [user(Q), bot(B)], "kto_tag": False}, (Q, B, 0)),
        ({"messages": [user(Q), bot(B)], "kto_tag": None}, "no_label"),
    ]),
    "kto-sharegpt": ("labels", [({"conversations": shared(Q, A), "kto_tag": True}, (Q, A, 1))]),
    "trl-unpaired": ("labels", [
        ({"prompt": Q, "completion": A, "label": True}, (Q, A, 1)),
        ({"prompt": [user(Q)], "completion": [bot(B)], "label": False}, (Q, B, 0)),
        ({"prompt": Q, "completion": A, "label": "yes"}, "no_label"),
    ]),
    "safe-rlhf": ("preferences", [
        ({"prompt": Q, "response_0": B, "response_1": A, "better_response_id": 0,
          "safer_response_id": 1}, (Q, A, B)),
        ({"prompt": Q, "response_0": B, "response_1": A, "better_response_id": 0,
          "safer_response_id": -1}, "tie"),
        ({"prompt": Q, "response_0": B, "response_1": A, "better_response_id": "0",
          "safer_response_id": "1"}, (Q, A, B)),
    ]),
    "beavertails": ("labels", [
        ({"prompt": Q, "response": A, "category": {"violence": False}, "is_safe": True}, (Q, A, 1)),
        ({"prompt": Q, "response": B, "category": {"violence": True}, "is_safe": False}, (Q, B, 0)),
    ]),
    "ultrafeedback": ("preferences", [
        ({"instruction": Q, "completions": RATED}, (Q, A, B)),
        ({"instruction": Q, "completions": RATED[2:]}, "tie"),
        ({"instruction": Q, "completions": []}, "tie"),
        ({"instruction": Q, "completions": [A, B]}, "not_text"),
        ({"instruction": Q, "completions": [*RATED, {"response": "?", "overall_score": "nan"}]},
         (Q, A, B)),
    ]),
    "nectar": ("preferences", [
        ({"prompt": f"{hh(Q)}\n\nAssistant: ".lstrip(),
          "answers": [{"answer": B, "rank": 2.0}, {"answer": A, "rank": 1.0}]}, (Q, A, B)),
        ({"prompt": Q, "answers": [A, B]}, "not_text"),
    ]),
    "helpsteer3": ("preferences", [
        ({"context": [user(Q)], "response1": A, "response2": B, "overall_preference": -2},
         (Q, A, B)),
        ({"context": [user(Q)], "response1": B, "response2": A, "overall_preference": 1},
         (Q, A, B)),
        ({"context": [user(Q)], "response1": A, "response2": B, "overall_preference": 0}, "tie"),
    ]),
    "arena": ("preferences", [
        ({"conversation_a": [user(Q), bot(B)], "conversation_b": [user(Q), bot(A)],
          "winner": "model_b"}, (Q, A, B)),
        ({"conversation_a": [user(Q), bot(B)], "conversation_b": [user(Q), bot(A)],
          "winner": "tie (bothbad)"}, "tie"),
    ]),
    "helpsteer2": ("preferences", [
        ({"prompt": Q, "response": B, **rated(1)}, (Q, A, B)),
        ({"prompt": Q, "response": A, **rated(4)}, None),
        ({"prompt": "Why?", "response": A, **rated(3)}, "tie"),
        ({"prompt": "Why?", "response": B, **rated(3)}, None),
        ({"prompt": "How?", "response": A, **rated(3)}, "tie"),
    ]),
    "question-response": ("responses", [({"question": Q, "response": A}, (Q, A))]),
    "question-answer": ("responses", [({"question": Q, "answer": A}, (Q, A))]),
    "question-completion": ("responses", [({"question": Q, "completion": A}, (Q, A))]),
    "prompt-response": ("responses", [({"prompt": Q, "response": A}, (Q, A))]),
    "prompt-answer": ("responses", [({"prompt": Q, "answer": A}, (Q, A))]),
    "prompt-completion": ("responses", [
        ({"prompt": Q, "completion": f" {A}"}, (Q, A)),
        ({"prompt": "x" * 20_001, "completion": A}, "too_long"),
    ]),
    "questions": ("questions", [({"question": Q, "topic": "Sky"}, (Q,))]),
    "prompts": ("questions", [({"prompt": Q}, (Q,)), ({"prompt": ""}, "empty")]),
    "instructions": ("questions", [({"instruction": Q}, (Q,))]),
}  # fmt: skip


def test_every_format_has_its_cases() -> None:
    assert {one.name for one in FORMATS} == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_format_is_found_by_its_columns_and_each_record_is_read_or_has_a_reason(
    name: str,
) -> None:
    kind, cases = CASES[name]
    records = [record for record, _ in cases]
    [found] = fitting(records)
    assert found.name == name
    assert next(iter(found.reads)) == kind
    places = [(f"row {number}", record) for number, record in enumerate(records)]
    joined = grouped(places, found.together)
    read = [read_record(record, found, kind, "last") for _, record in joined]
    made = [reason or tuple(row.values()) for row, reason in read]
    assert made == [expected for _, expected in cases if expected is not None]


@pytest.mark.parametrize("name", CASES)
def test_a_record_without_a_column_or_its_value_has_a_reason_and_changes_no_other(
    name: str,
) -> None:
    kind, cases = CASES[name]
    records = [record for record, _ in cases]
    [format_] = fitting(records)
    damaged = [
        {key: value for key, value in {**records[0], **change}.items() if value != "left out"}
        for column in format_.columns
        for change in ({column: "left out"}, {column: None}, {column: 5})
    ]
    [found] = fitting([*records * len(damaged), *damaged])
    assert found == format_
    places = [(f"row {number}", record) for number, record in enumerate(damaged)]
    for _, record in grouped(places, found.together):
        row, reason = read_record(record, found, kind, "last")
        assert reason is not None or all(row[text].strip() for text in TEXTS_OF_KIND[kind])


def test_the_question_of_a_chat_is_the_last_message_all_of_them_or_none() -> None:
    record = {"messages": [SYSTEM, user("Hi."), bot("Hello."), user(Q), bot(A)]}
    [found] = fitting([record])
    last, _ = read_record(record, found, "responses", "last")
    joined, _ = read_record(record, found, "responses", "joined")
    assert last["question"] == Q
    assert joined["question"] == f"User: Hi.\n\nAssistant: Hello.\n\nUser: {Q}"
    assert read_record(record, found, "responses", "drop") == ({}, "several_turns")


def test_a_kind_with_fewer_texts_is_read_as_one_with_more() -> None:
    [found] = fitting([{"question": Q, "answer": B, "correction": A}])
    assert found.kinds() == ["corrections", "questions", "responses"]
    record = {"question": Q, "answer": B, "correction": A}
    assert read_record(record, found, "responses", "last") == ({"question": Q, "response": B}, None)
    assert found.reader("labels") is None


def test_the_last_question_of_a_chat_needs_no_response() -> None:
    record = {"messages": [SYSTEM, user("Hi."), bot("Hello."), user(Q)]}
    [found] = fitting([record], "questions")
    row, reason = read_record(record, found, "questions", "last")
    assert (row, reason) == ({"question": Q, "system": "Be brief."}, None)


def test_columns_can_be_paths_and_labels_can_be_text() -> None:
    columns = {"question": "turns.0", "response": "reply.text", "label": "ok"}
    found = format_of_columns("labels", columns)
    record = {"turns": [Q], "reply": {"text": A}, "ok": "True"}
    row, reason = read_record(record, found, "labels", "last")
    assert (row, reason) == ({"question": Q, "response": A, "label": 1}, None)
    assert read_record({**record, "ok": "so so"}, found, "labels", "last") == ({}, "no_label")


@pytest.mark.parametrize("name", CASES)
def test_a_record_of_another_form_is_dropped_and_hides_no_format(name: str) -> None:
    kind, cases = CASES[name]
    records = [record for record, _ in cases]
    whole = records[0]
    odd = [{}, *({**whole, column: value} for column in whole for value in (None, 5, "x", [1]))]
    [found] = fitting([*records * len(odd), *odd])
    assert found.name == name
    for _, record in grouped([("line 1", record) for record in odd], found.together):
        row, reason = read_record(record, found, kind, "last")
        assert reason is not None or row


def test_the_reasons_of_a_file_are_counted() -> None:
    kind, cases = CASES["sharegpt"]
    [found] = fitting([record for record, _ in cases])
    reasons = [read_record(record, found, kind, "drop")[1] for record, _ in cases]
    assert Counter(reasons) == {
        None: 3, "several_turns": 1, "no_prompt": 1, "tool_call": 1
    }  # fmt: skip


def test_records_without_a_known_format_fit_none() -> None:
    assert fitting([{"text": Q}]) == []
