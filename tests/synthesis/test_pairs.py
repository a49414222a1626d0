"""Pairs: one format and one parser for all criteria, for base and chat LLMs."""

from collections import Counter
from pathlib import Path
from typing import Any

import gather_pairs
import generate_pairs
import pytest
from fake_engine import FakeEngine

from aligners.configuration.criteria import load_principles
from aligners.core.completions import Completion, Decoding, Request
from aligners.core.rows import read_json, read_rows, row_id, write_rows
from aligners.synthesis.pairs import FORM, STOP, pairs_prompt, parse_pair

CRITERIA = ["ethical", "factuality", "helpful"]
TEACHERS = {False: "closed-world-teacher", True: "closed-world-finetuned"}
PAIR = "Go on.\nCritique: Too short.\nCorrection: Please go on."
FIELDS = {
    "response": "Go on.",
    "critique": "Too short.",
    "aligned_response": "Please go on.",
}


# Prompt and parser


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("chat", [False, True])
def test_the_parser_reads_every_demonstration_of_the_prompt(
    in_the_project: None, criterion: str, chat: bool
) -> None:
    """An LLM imitates the demonstrations, so the parser must read their format."""
    principles = load_principles(criterion)
    prompt = pairs_prompt(principles, "Shall I?", chat)
    if isinstance(prompt, str):
        blocks = [block.split("\nResponse:", 1) for block in prompt.split(STOP)[1:]]
        questions = [question.strip() for question, _ in blocks]
        pairs = [pair for _, pair in blocks]
        assert pairs.pop() == ""
    else:
        questions = [message["content"] for message in prompt if message["role"] == "user"]
        questions = [question.removeprefix("Input: ") for question in questions]
        pairs = [message["content"] for message in prompt if message["role"] == "assistant"]
        roles = [message["role"] for message in prompt]
        assert roles == ["system", *["user", "assistant"] * len(pairs), "user"]
    assert questions == [item.input for item in principles.demonstrations] + ["Shall I?"]
    for pair, item in zip(pairs, principles.demonstrations, strict=True):
        fields, reason = parse_pair(Completion("", pair, "stop"), Counter())
        assert reason is None
        assert fields == {
            "response": item.response,
            "critique": item.critique,
            "aligned_response": item.correction,
        }


@pytest.mark.parametrize("chat", [False, True])
def test_the_prompt_starts_with_the_numbered_principles(in_the_project: None, chat: bool) -> None:
    principles = load_principles("ethical")
    prompt = pairs_prompt(principles, "Shall I?", chat)
    start = prompt if isinstance(prompt, str) else prompt[0]["content"]
    assert start.startswith(principles.introduction)
    assert start.endswith(FORM) == chat
    for number, principle in enumerate(principles.principles, start=1):
        assert f"\n{number}. {principle.name}: {principle.text}" in start


@pytest.mark.parametrize(
    "text",
    [
        f" {PAIR}",
        f"Response: {PAIR}",
        f"\nResponse: {PAIR}\n",
        f" {PAIR}{STOP} What is next?\nResponse: Nothing.\nCritique: x\nCorrection: y",
        PAIR.replace("\n", "\n\n"),
        PAIR.replace("\n", "\n  "),
    ],
    ids=["base", "chat", "blank lines around", "stop text left in", "blank lines", "indented"],
)
def test_a_pair_is_read_in_every_format(text: str) -> None:
    assert parse_pair(Completion("", text, "stop"), Counter()) == (FIELDS, None)


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "stop", "no_critique"),
        (" Go on.", "stop", "no_critique"),
        (" Go on.\nCorrection: Please go on.", "stop", "no_critique"),
        (" Go on. Critique: Too short. Correction: Please.", "stop", "no_critique"),
        (" Go on.\nCritique: Too short.", "stop", "no_correction"),
        (" Go on.\nCritique: Too sh", "length", "no_correction"),
        (f" {PAIR}", "length", "cut_off"),
        (f" Go on.{STOP} Why?\nResponse: {PAIR}", "stop", "no_critique"),
    ],
)
def test_a_completion_without_a_pair_has_a_reason(text: str, finish: Any, reason: str) -> None:
    assert parse_pair(Completion("", text, finish), Counter()) == ({}, reason)


def test_responses_and_corrections_may_have_several_lines_or_be_empty() -> None:
    lines = "One.\n\nTwo: 10 < 20.\n\n- Three"
    text = f" {lines}\nCritique: c\nCorrection: {lines}"
    fields, reason = parse_pair(Completion("", text, "stop"), Counter())
    assert (fields["response"], fields["aligned_response"], reason) == (lines, lines, None)
    fields, reason = parse_pair(Completion("", "\nCritique: c\nCorrection:", "stop"), Counter())
    assert (fields["response"], fields["aligned_response"], reason) == ("", "", None)


# The programs

QUESTIONS = [
    {"id": row_id(text), "question": text} for text in (f"Is {n} right?" for n in range(12))
]


def generate(shards: int, teacher: str) -> dict[str, Any]:
    """Run the program for each shard, gather the shards, and return the counts."""
    write_rows(Path("questions.jsonl"), QUESTIONS)
    paths = [Path(f"pairs/{shard}.jsonl") for shard in range(shards)]
    for shard, path in enumerate(paths):
        generate_pairs.main(
            criterion="helpful",
            teacher=teacher,
            synthesis="closed-world",
            questions=Path("questions.jsonl"),
            shard=shard,
            shards=shards,
            seed=0,
            output=path,
        )
    gather_pairs.main(questions=Path("questions.jsonl"), shards=paths, output=Path("pairs.jsonl"))
    return dict(read_json(Path("pairs.counts.json")))


def question_of(request: Request) -> str:
    """Return the question that a prompt asks."""
    if isinstance(request.prompt, str):
        return request.prompt.rsplit("Input: ", 1)[1].split("\n")[0]
    return request.prompt[-1]["content"].removeprefix("Input: ")


def test_a_pair_with_a_text_of_a_demonstration_is_dropped(
    project: Path, engine: FakeEngine
) -> None:
    item = load_principles("helpful").demonstrations[0]
    replies = {
        "Is 3 right?": f" {item.response.upper()}\nCritique: c\nCorrection: So.",
        "Is 4 right?": f" So.\nCritique: c\nCorrection: {item.correction}",
    }
    engine.reply = lambda request, _: replies.get(question_of(request), f" {PAIR}")
    counts = generate(2, TEACHERS[False])
    assert counts["dropped"] == {"copied_demonstration": 2}
    dropped = {row["question"]: row["completion"] for row in read_rows(Path("pairs.dropped.jsonl"))}
    assert dropped == replies


def test_gathered_counts_have_what_was_removed_in_all_shards(
    project: Path, engine: FakeEngine
) -> None:
    thinking = ("Is 3 right?", "Is 4 right?", "Is 5 right?")
    engine.reply = lambda request, _: (
        f"<think>Hm.</think>{PAIR}" if question_of(request) in thinking else PAIR
    )
    counts = generate(3, TEACHERS[True])
    assert counts == {"in": 12, "out": 12, "dropped": {}, "replaced": {"thought": 3}}


@pytest.mark.parametrize("chat", [False, True])
@pytest.mark.parametrize("shards", [1, 3])
def test_pairs_are_the_same_for_base_and_chat_llms_and_any_number_of_shards(
    project: Path, engine: FakeEngine, chat: bool, shards: int
) -> None:
    def reply(request: Request, decoding: Decoding) -> str:
        assert decoding.stop == (STOP,)
        question = question_of(request)
        if question == "Is 7 right?":
            return " I am lost."
        pair = f" {question}\nCritique: c\nCorrection: Yes: {question}"
        return f"Response:{pair}" if chat else f"{pair}{STOP} What else?"

    engine.reply = reply
    counts = generate(shards, TEACHERS[chat])
    assert counts == {"in": 12, "out": 11, "dropped": {"no_critique": 1}}
    rows = read_rows(Path("pairs.jsonl"))
    assert [row["id"] for row in rows] == [
        row["id"] for row in QUESTIONS if row["question"] != "Is 7 right?"
    ]
    for row in rows:
        assert row == {
            "id": row_id(row["question"]),
            "criterion": "helpful",
            "question": row["question"],
            "response": row["question"],
            "critique": "c",
            "aligned_response": f"Yes: {row['question']}",
        }
    [dropped] = read_rows(Path("pairs.dropped.jsonl"))
    assert dropped["question"] == "Is 7 right?"
    assert (dropped["completion"], dropped["reason"]) == (" I am lost.", "no_critique")
