"""Questions: one for each hint, with new attempts for missing lines, and deduplication."""

import csv
import re
from collections import Counter
from pathlib import Path
from typing import Any

import generate_questions
import pytest
from fake_engine import FakeEngine
from yaml_edits import set_keys

from aligners.configuration.kinds.criteria import QuestionType, SeedQuestion
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.completions import Completion, Decoding, Request
from aligners.core.counts import separate
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, write_rows
from aligners.synthesis.questions import (
    NO_HINT,
    STOP,
    Hint,
    HintGroup,
    choose_seed_questions,
    deduplicate_questions,
    make_hints,
    parse_questions,
    question_reason,
    question_row,
    questions_prompt,
)

EXAMPLES = [("advice", "Old age", "How do I cheer up my grandfather?")] * 5
HINTS = [Hint("advice", "White lies", 0), Hint("beliefs", "Rock & roll [music]", 0)]


# Prompt and parser


def test_the_prompt_numbers_examples_and_then_hints() -> None:
    prompt = questions_prompt(EXAMPLES, HINTS, "Kind responses.", chat=False)
    numbers = [int(number) for number in re.findall(r"^(\d+)\.", prompt, re.MULTILINE)]
    assert numbers == [1, 2, 3, 4, 5, 6, 7, 6]
    assert "\n1. [advice | Old age] How do I cheer up my grandfather?\n" in prompt
    assert "\n7. [beliefs | Rock & roll [music]]\n" in prompt
    assert prompt.endswith("\nQuestions:\n6.")
    assert f"\n\n{prompt}".startswith(STOP)


def test_the_prompt_names_what_the_criterion_demands(project: Path, engine: FakeEngine) -> None:
    set_keys("config/criteria/ethical.yaml", description="Short verses.")
    engine.reply = lambda request, _: numbered_list(
        {number: f"Who is {chr(90 - number) * 9}?" for number in hints_of(text_of(request))}
    )
    generate(10)
    assert all("demand: Short verses. " in text_of(request) for request in engine.asked)


def test_the_prompt_for_a_chat_llm_says_which_form_is_wanted() -> None:
    base, chat = (questions_prompt(EXAMPLES, HINTS, "Kind.", chat) for chat in (False, True))
    assert chat.replace(" Write only the questions, each in one line after its number.", "") == base
    assert chat != base


@pytest.mark.parametrize(
    ("reply", "complete", "questions"),
    [
        (" Why so?\n7. How so?", True, {6: "Why so?", 7: "How so?"}),
        ("6. Why so?\n7. How so?", True, {6: "Why so?", 7: "How so?"}),
        ("\n7. How so?", True, {7: "How so?"}),
        (" Why so?\n7. How is i", False, {6: "Why so?"}),
        (" Why so?\n7. How so?\n", False, {6: "Why so?", 7: "How so?"}),
        (" Is 5. 6?\n7) 2 < 3?\n 8 . So what?", True, {6: "Is 5. 6?", 7: "2 < 3?", 8: "So what?"}),
        (" Why so?\nNow something else.\n\n8. How so?", True, {6: "Why so?", 8: "How so?"}),
        (" Why so?\n7.\n8.  \n9. How so?", True, {6: "Why so?", 9: "How so?"}),
        (" Why so?\n7. How so?\n7. When so?", True, {6: "Why so?", 7: "How so?"}),
        (" Why so?\n7. How so?\n10. When so?", True, {6: "Why so?", 7: "How so?"}),
        (" [advice | White lies] Why so?\n7. [a | b] How so?", True, {6: "Why so?", 7: "How so?"}),
        (" [sic] Why so?", True, {6: "[sic] Why so?"}),
        ("", True, {}),
        (" Wh", False, {}),
    ],
    ids=[
        "without the first number", "with the first number, as a chat LLM", "no first line",
        "last line cut off", "cut off after the last line", "numbers in questions", "unnumbered",
        "empty lines", "number twice", "number of no hint", "hint repeated", "other brackets",
        "empty", "cut off in the first line",
    ],
)  # fmt: skip
def test_questions_are_found_by_their_number(
    reply: str, complete: bool, questions: dict[int, str]
) -> None:
    lines = parse(reply, complete)
    found = {hint.ordinal: text for hint, text, reason in lines if reason is None}
    assert found == questions
    # Each hint has one line, with a question or a reason.
    assert sorted(hint.ordinal for hint, *_ in lines if hint is not NO_HINT) == [6, 7, 8, 9]


def parse(reply: str, complete: bool = True) -> list[tuple[Hint, str, str | None]]:
    """Parse a reply to a prompt with five examples and four hints, numbered 6 to 9."""
    hints = [Hint("advice", f"Topic {number}", number) for number in range(6, 10)]
    examples = [question for *_, question in EXAMPLES]
    group = HintGroup(Request("", ""), examples, hints)
    completion = Completion("", reply, "stop" if complete else "length")
    return [
        (line.hint, line.text, line.reason)
        for line in parse_questions(completion, group, Counter())
    ]


def test_every_line_of_a_reply_has_a_reason_if_it_is_no_question() -> None:
    example = EXAMPLES[0][2]
    reply = (
        f"Sure!\n5. {example}\n6. Why so?\n7. How?\n7. How so?\n8. Topic 8\n10. When so?\n\n"
        "Would you like more?\n\n1. What now?\n9. Cut of"
    )
    lines = parse(reply, complete=False)
    assert {
        (hint.ordinal if hint is not NO_HINT else None, text): reason
        for hint, text, reason in lines
    } == {
        (None, "Sure!"): "unnumbered",
        (None, example): "repeats_example",
        (6, "Why so?"): None,
        (7, "How?"): "not_a_question",
        (None, "How so?"): "repeated_number",
        (8, "Topic 8"): "not_a_question",
        (None, "When so?"): "no_hint",
        (None, "Would you like more?"): "unnumbered",
        (None, "What now?"): "next_list",
        (None, "Cut of"): "next_list",
        (9, ""): "no_line",
    }


@pytest.mark.parametrize(
    "question",
    [
        "What is a security code?",
        "I am sad. What now? Help me.",
        "He asked “why?”",
        "Tell me a joke.",
        "Explain how a lock works.",
        "Write down ten questions for a job interview.",
        "I cannot sleep.",
        "I can't help laughing at funerals.",
        "I can't write well. Any tips?",
        "Sorry is not enough, she says.",
        "Here is my dog. Is he too fat?",
        "Would you like to live on Mars?",
        "Should I continue my studies?",
        "Sure, but why?",
        "I left my wife, and the advice I got was wrong.",
        "Describe White lies in three words.",
    ],
)
def test_requests_are_questions_with_and_without_a_question_mark(question: str) -> None:
    assert question_reason(question, HINTS[0]) is None


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("", "empty"),
        ("x " * 500 + "?", "too_long"),
        *[
            (line, "not_a_question")
            for line in [
                "Why?",
                "...",
                "White lies",
                "white lies.",
                "[advice | White lies]",
                "advice: White lies",
                "Here is a question about White lies",
                "A question about lies.",
                "Write a question about White lies.",
                "Ask about White lies here.",
                "[Your question here]",
                "I cannot think of one for White lies.",
                "I'm sorry, but I can't help with that.",
                "I can’t assist with this request.",
                "As an AI, I cannot create content that harms.",
                "I'm unable to write a question on this.",
                "I will not write questions about it.",
                "Sure! Here are the questions:",
                "Let me know if you'd like more.",
                "Would you like me to write more questions?",
                "I hope this helps!",
                "Note: these are all harmless.",
            ]
        ],
    ],
)
def test_a_line_that_is_no_question_has_a_reason(line: str, reason: str) -> None:
    assert question_reason(line, HINTS[0]) == reason


def test_hints_use_the_topics_in_turn() -> None:
    topics = [{"question_type": "advice", "topic": name} for name in ("A", "B", "C")]
    hints = make_hints(topics, 7)
    assert [hint.topic for hint in hints] == ["A", "B", "C", "A", "B", "C", "A"]
    assert [hint.ordinal for hint in hints] == [0, 0, 0, 1, 1, 1, 2]
    assert len(set(hints)) == 7


def test_seed_questions_are_a_sample_that_depends_on_the_seed() -> None:
    kinds = [
        QuestionType(
            type=name,
            example_topics=["Topic"],
            questions=[SeedQuestion(topic="Topic", question=f"{name}{n}?") for n in range(9)],
        )
        for name in "ab"
    ]
    chosen = choose_seed_questions(kinds, 5, 0, 1)
    assert len(set(chosen)) == 5
    assert chosen == choose_seed_questions(kinds, 5, 0, 1) != choose_seed_questions(kinds, 5, 1, 1)
    assert all(question.startswith(kind) for kind, _, question in chosen)


def test_duplicate_questions_are_dropped() -> None:
    texts = [
        "Who painted the Mona Lisa in Florence?",
        "who painted the  mona lisa in Florence?",
        "Who painted the Mona Lisa in Florence",
        "Who wrote the Divine Comedy in Florence?",
        "Is a caf\u00e9 open?",
        "Is a cafe\u0301 open?",
    ]
    questions = [question_row("ethical", HINTS[0], text) for text in texts]
    kept, dropped = separate(deduplicate_questions(questions, shingle=5, similarity=0.8))
    assert [row["question"] for row in kept] == [texts[0], texts[3], texts[4]]
    reasons = [row["reason"] for row in dropped]
    assert reasons == ["duplicate", "near_duplicate", "duplicate"]


# The program

TOPICS = [
    {"id": letter, "question_type": "advice", "topic": f"Topic {letter}"} for letter in "ABCDEFGHIJ"
]


def hints_of(prompt: str) -> dict[int, str]:
    """Return the topic of each numbered hint of a prompt."""
    hints = prompt.split("\n\n")[2]
    return {
        int(number): topic
        for number, topic in re.findall(r"^(\d+)\. \[.*? \| (.*)\]$", hints, re.MULTILINE)
    }


def text_of(request: Request) -> str:
    """Return the text of the prompt for a base or a chat LLM."""
    return request.prompt if isinstance(request.prompt, str) else request.prompt[-1]["content"]


def numbered_list(questions: dict[int, str], chat: bool = False) -> str:
    """Return a completion with the questions. Only a chat LLM writes the first number."""
    lines = "\n".join(f"{number}. {question}" for number, question in questions.items())
    return lines if chat else lines.removeprefix(f"{min(questions)}.")


def generate(questions: int, teacher: str = "closed-world-teacher") -> list[dict[str, Any]]:
    """Run the program and return its questions."""
    write_rows(Path("topics.jsonl"), TOPICS)
    generate_questions.main(
        criterion="ethical",
        teacher=teacher,
        synthesis="closed-world",
        topics=Path("topics.jsonl"),
        questions=questions,
        seed=0,
        output=Path("questions.jsonl"),
        table=Path("questions.csv"),
    )
    return read_rows(Path("questions.jsonl"))


@pytest.mark.parametrize("chat", [False, True])
def test_every_hint_gets_its_own_question(project: Path, engine: FakeEngine, chat: bool) -> None:
    def reply(request: Request, decoding: Decoding) -> str:
        hints = hints_of(text_of(request))
        questions = {number: f"Is it about {topic}?" for number, topic in hints.items()}
        return numbered_list(questions, chat)

    engine.reply = reply
    questions = generate(10, "closed-world-finetuned" if chat else "closed-world-teacher")
    assert {row["topic"]: row["question"] for row in questions} == {
        row["topic"]: f"Is it about {row['topic']}?" for row in TOPICS
    }
    assert len(engine.asked) == 1
    with Path("questions.csv").open(encoding="utf-8") as table:
        lines = list(csv.DictReader(table))
    fields = ("question", "topic", "question_type")
    assert lines == [{field: row[field] for field in fields} for row in questions]


def test_a_question_is_no_formula_in_a_spreadsheet(project: Path, engine: FakeEngine) -> None:
    formula = '=HYPERLINK("http://127.0.0.1", "What?")'
    engine.reply = lambda request, _: numbered_list(
        dict.fromkeys(hints_of(text_of(request)), formula)
    )
    [row] = generate(10)
    assert row["question"] == formula
    with Path("questions.csv").open(encoding="utf-8") as table:
        assert [line["question"] for line in csv.DictReader(table)] == [f"'{formula}"]


def test_hints_without_a_question_are_requested_again(project: Path, engine: FakeEngine) -> None:
    requested: list[set[str]] = []

    def reply(request: Request, decoding: Decoding) -> Completion:
        hints = hints_of(text_of(request))
        requested.append(set(hints.values()))
        lines = {
            number: f"{chr(ord('A') + number) * 20} in {topic}?" for number, topic in hints.items()
        }
        lines[7] = "None"  # no question
        lines.pop(8, None)  # no line
        # The last line is cut off.
        return Completion(request.id, numbered_list(lines), "length")

    engine.reply = reply
    questions = generate(10)
    assert load_recipe(SynthesisRecipe, "closed-world").questions.attempts == 3
    topics = {row["topic"] for row in TOPICS}
    # The hints numbered 7 and 8 and the last hint get no question.
    assert requested == [topics, {"Topic B", "Topic C", "Topic J"}, {"Topic C", "Topic J"}]
    assert {row["topic"] for row in questions} == topics - {"Topic J"}
    counts = read_json(Path("questions.counts.json"))
    assert counts["dropped"] == {"cut_off": 3, "no_line": 1, "not_a_question": 1}
    # Every hint has a question or is counted as dropped.
    assert counts["out"] + counts["dropped"]["no_line"] == 10


def test_without_any_question_the_stage_stops_with_the_number_of_hints_by_reason(
    project: Path, engine: FakeEngine
) -> None:
    with pytest.raises(UserError, match=r"questions\.jsonl.*10 no_line"):
        generate(10)
    assert len(engine.asked) == 3
    assert not Path("questions.jsonl").exists()


def test_duplicates_are_counted(project: Path, engine: FakeEngine) -> None:
    engine.reply = lambda request, _: numbered_list(
        {number: "What is the same?" for number in hints_of(text_of(request))}
    )
    assert len(generate(40)) == 1
    assert read_json(Path("questions.counts.json")) == {
        "in": 40,
        "out": 1,
        "dropped": {"duplicate": 39},
    }
    assert len(read_rows(Path("questions.dropped.jsonl"))) == 39
