"""Pairs: one format and one parser for all criteria, for base and chat LLMs."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gather_pairs
import generate_first_responses
import generate_pairs
import pytest
from fake_engine import FakeEngine
from yaml_edits import set_keys

from aligners.configuration.criteria import load_principles
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, row_id, write_rows
from aligners.synthesis.pair_prompts import (
    FORM,
    FORM_IN_JSON,
    FORM_OF_CORRECTION,
    FORM_OF_CORRECTION_IN_JSON,
    pairs_prompt,
)
from aligners.synthesis.pair_replies import STOP, parse_pair

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


# A given response

CORRECTION = "Too short.\nCorrection: Please go on."


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_prompt_with_a_response_asks_a_base_llm_to_continue_with_the_critique(
    in_the_project: None, criterion: str
) -> None:
    principles = load_principles(criterion)
    given = pairs_prompt(principles, "Shall I?", False, "Go on.")
    assert given == f"{pairs_prompt(principles, 'Shall I?', False)} Go on.\nCritique:"


@pytest.mark.parametrize("criterion", CRITERIA)
def test_a_prompt_with_a_response_shows_a_chat_llm_all_responses_as_the_users(
    in_the_project: None, criterion: str
) -> None:
    principles = load_principles(criterion)
    system, *turns = pairs_prompt(principles, "Shall I?", True, "Go on.")
    assert isinstance(system, dict)
    assert system["content"].endswith(FORM_OF_CORRECTION)
    *shown, last = [turn["content"] for turn in turns if turn["role"] == "user"]
    written = [turn["content"] for turn in turns if turn["role"] == "assistant"]
    assert last == "Input: Shall I?\nResponse: Go on."
    for user, assistant, item in zip(shown, written, principles.demonstrations, strict=True):
        assert user == f"Input: {item.input}\nResponse: {item.response}"
        assert parse_pair(Completion("", assistant, "stop"), Counter(), item.response) == (
            {
                "response": item.response,
                "critique": item.critique,
                "aligned_response": item.correction,
            },
            None,
        )


@pytest.mark.parametrize(
    "text",
    [
        f" {CORRECTION}",
        f"Critique: {CORRECTION}",
        f"\n\nCritique: {CORRECTION}\n",
        "**Critique:** Too short.\n\n**Correction:** Please go on.",
        f"Here is my review:\n\nCritique: {CORRECTION}",
        f"<think>\nHm.\n</think>\n\nCritique: {CORRECTION}",
        f"<think>\nHm.\n</think>\n\n{CORRECTION}",
        f"Response: Go on.\nCritique: {CORRECTION}",
        f" {CORRECTION}{STOP} What is next?\nResponse: Nothing.\nCritique: x\nCorrection: y",
        f" {CORRECTION}\nCritique: Nothing is wrong.\nCorrection: Please go on.",
    ],
    ids=["base", "chat", "blank lines", "markdown", "preamble", "thought", "thought of a base LLM",
         "response repeated", "next question", "review of the correction"],
)  # fmt: skip
def test_critique_and_correction_of_a_given_response_are_read(text: str) -> None:
    assert parse_pair(Completion("", text, "stop"), Counter(), "Go on.") == (FIELDS, None)


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("", "stop", "no_correction"),
        (" Too short.", "stop", "no_correction"),
        ("Response: Go on.\nCorrection: Please go on.", "stop", "no_critique"),
        (f" {CORRECTION}", "length", "cut_off"),
    ],
)
def test_a_completion_without_a_correction_of_the_given_response_has_a_reason(
    text: str, finish: Any, reason: str
) -> None:
    assert parse_pair(Completion("", text, finish), Counter(), "Go on.") == ({}, reason)


# The programs

QUESTIONS = [
    {"id": row_id(text), "question": text} for text in (f"Is {n} right?" for n in range(12))
]


def generate(
    shards: int, teacher: str, responses: Sequence[tuple[Path, ...]] = ()
) -> dict[str, Any]:
    """Run the program for each shard, gather the shards, and return the counts.

    `responses` are the files of first responses of each shard, if there are any.
    """
    write_rows(Path("questions.jsonl"), QUESTIONS)
    paths = [Path(f"pairs/{shard}.jsonl") for shard in range(shards)]
    for shard, path in enumerate(paths):
        generate_pairs.main(
            criterion="helpful",
            teacher=teacher,
            synthesis="closed-world",
            questions=[Path("questions.jsonl")],
            shard=shard,
            shards=shards,
            seed=0,
            output=path,
            responses=responses[shard] if responses else (),
        )
    gather_pairs.main(questions=[Path("questions.jsonl")], shards=paths, output=Path("pairs.jsonl"))
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


def test_near_copies_are_dropped_but_not_for_the_question_of_the_demonstration(
    project: Path, engine: FakeEngine
) -> None:
    item = load_principles("helpful").demonstrations[0]
    pair = f"Critique: {item.critique}\nCorrection: “{item.correction.rstrip('.')}!”"
    engine.reply = lambda *_: f" So.\n{pair}"
    questions = [{"id": row_id(text), "question": text} for text in ("Why?", item.input)]
    write_rows(Path("own.jsonl"), questions)
    generate_pairs.main(
        criterion="helpful", teacher=TEACHERS[False], synthesis="closed-world",
        questions=[Path("own.jsonl")], shard=0, shards=1, seed=0, output=Path("own/0.jsonl"),
    )  # fmt: skip
    assert [row["question"] for row in read_rows(Path("own/0.jsonl"))] == [item.input]
    assert read_json(Path("own/0.counts.json"))["dropped"] == {"copied_demonstration": 1}


def test_a_given_response_is_no_copy_of_a_demonstration(project: Path, engine: FakeEngine) -> None:
    item = load_principles("helpful").demonstrations[0]
    engine.reply = lambda *_: item.response
    files = respond(1, RESPONDING)
    replies = {
        "Is 3 right?": f" Nothing is wrong.\nCorrection: {item.response}",
        "Is 4 right?": f" It is wrong.\nCorrection: {item.correction}",
    }
    engine.reply = lambda request, _: replies.get(question_of(request), f" {CORRECTION}")
    counts = generate(1, TEACHERS[False], files)
    assert counts["dropped"] == {"copied_demonstration": 1}
    [dropped] = read_rows(Path("pairs.dropped.jsonl"))
    assert dropped["question"] == "Is 4 right?"


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize("is_json", [False, True])
def test_structured_output_is_asked_for_and_read(
    project: Path, engine: FakeEngine, given: bool, is_json: bool
) -> None:
    """A server that ignores the format writes labels."""
    keys = {"engine": "openai", "model": "m", "endpoint": "http://127.0.0.1:1/v1", "chat": True}
    Path("config/llms/hosted.yaml").write_text(
        "\n".join(f"{key}: {value}" for key, value in {**keys, "structured_output": True}.items())
    )
    engine.reply = lambda *_: "Go on."
    files = respond(1, RESPONDING) if given else ()
    fields = {"response": "Go on.", "critique": "Too short.", "correction": "Please go on."}
    if given:
        del fields["response"]

    def reply(request: Request, decoding: Decoding) -> str:
        assert (decoding.json_fields, decoding.stop) == (tuple(fields), ())
        system, *turns = request.prompt
        assert isinstance(system, dict)
        assert system["content"].endswith(FORM_OF_CORRECTION_IN_JSON if given else FORM_IN_JSON)
        written = [json.loads(turn["content"]) for turn in turns if turn["role"] == "assistant"]
        items = load_principles("helpful").demonstrations
        assert [list(one) for one in written] == [list(fields)] * len(items)
        assert [one["correction"] for one in written] == [item.correction for item in items]
        labels = "\n".join(f"{name.title()}: {text}" for name, text in fields.items())
        return json.dumps(fields) if is_json else labels

    engine.reply = reply
    counts = generate(1, "hosted", files)
    assert counts == {"in": 12, "out": 12, "dropped": {}}
    assert {row["aligned_response"] for row in read_rows(Path("pairs.jsonl"))} == {"Please go on."}


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
    after = {} if chat else {"replaced": {"continuation": 11}}
    assert counts == {"in": 12, "out": 11, "dropped": {"no_critique": 1}, **after}
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


RESPONDING = ["closed-world-base", "closed-world-finetuned"]


def respond(shards: int, responses_by: list[str]) -> list[tuple[Path, ...]]:
    """Run the program for each LLM and shard, and return the files of each shard."""
    write_rows(Path("questions.jsonl"), QUESTIONS)
    files = [
        tuple(Path(f"responses/{llm}/{shard}.jsonl") for llm in responses_by)
        for shard in range(shards)
    ]
    for shard, paths in enumerate(files):
        for llm, path in zip(responses_by, paths, strict=True):
            generate_first_responses.main(
                llm=llm,
                responses_by=responses_by,
                questions=[Path("questions.jsonl")],
                shard=shard,
                shards=shards,
                seed=0,
                output=path,
            )
    return files


def responding_llms(responses_by: list[str]) -> dict[str, str]:
    """Return the LLM that has responded to each question."""
    files = [path for paths in respond(2, responses_by) for path in paths]
    rows = [row for path in files for row in read_rows(path)]
    assert sorted(row["id"] for row in rows) == sorted(row["id"] for row in QUESTIONS)
    return {row["question"]: row["response_by"] for row in rows}


def test_every_question_has_one_llm_and_a_new_llm_takes_questions_of_the_others(
    project: Path, engine: FakeEngine
) -> None:
    few = responding_llms(RESPONDING)
    assert set(few.values()) == set(RESPONDING)
    assert responding_llms(RESPONDING[::-1]) == few
    new = "closed-world-teacher"
    more = responding_llms([*RESPONDING, new])
    assert set(more.values()) == {*RESPONDING, new}
    assert all(llm in (few[question], new) for question, llm in more.items())


@pytest.mark.parametrize("chat", [False, True])
def test_pairs_have_the_responses_of_the_llms_and_the_teachers_corrections(
    project: Path, engine: FakeEngine, chat: bool
) -> None:
    """A question without a response is dropped in its place. An empty response is kept."""
    for llm in RESPONDING:
        set_keys(f"config/llms/{llm}.yaml", require_all=False)

    def respond_to(request: Request, _: Decoding) -> Any:
        text = str(request.prompt)
        if "Is 3 right?" in text or "Is 8 right?" in text:
            return Failure(request.id, "timeout", "no reply")
        return "" if "Is 5 right?" in text else "Hm: yes."

    engine.reply = respond_to
    files = respond(2, RESPONDING)
    prompts = []

    def correct(request: Request, _: Decoding) -> str:
        last = request.prompt if isinstance(request.prompt, str) else request.prompt[-1]["content"]
        prompts.append(last.rsplit("Input: ", 1)[1].removesuffix("\nCritique:"))
        return "I am lost." if "Is 2 right?" in prompts[-1] else f" {CORRECTION}"

    engine.reply = correct
    counts = generate(2, TEACHERS[chat], files)
    assert counts["dropped"] == {"no_correction": 1, "no_response": 2}
    responses = {f"Is {n} right?": "" if n == 5 else "Hm: yes." for n in range(12)}
    asked = [text for text in responses if text not in ("Is 3 right?", "Is 8 right?")]
    assert sorted(prompts) == sorted(f"{text}\nResponse: {responses[text]}" for text in asked)
    rows = read_rows(Path("pairs.jsonl"))
    assert [row["question"] for row in rows] == [text for text in asked if text != "Is 2 right?"]
    for row in rows:
        assert row["response"] == responses[row["question"]]
        assert row["response_by"] in RESPONDING
        assert (row["critique"], row["aligned_response"]) == ("Too short.", "Please go on.")
    dropped = {row["question"]: row for row in read_rows(Path("pairs.dropped.jsonl"))}
    assert dropped["Is 2 right?"]["response"] == "Hm: yes."
    assert dropped["Is 2 right?"]["completion"] == "I am lost."


def test_responses_to_other_questions_are_refused(project: Path, engine: FakeEngine) -> None:
    files = respond(1, RESPONDING)
    rows = read_rows(files[0][0])
    write_rows(files[0][0], rows[1:])
    with pytest.raises(UserError, match=rf"{files[0][0]}.*{rows[0]['id']}"):
        generate(1, TEACHERS[False], files)
