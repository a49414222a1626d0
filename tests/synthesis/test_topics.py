"""Topics: prompt, parser, deduplication and balance."""

import re
from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import deduplicate_topics as program
import generate_topics
import pytest
from fake_engine import FakeEngine

from aligners.configuration.criteria import load_question_types
from aligners.core.completions import Completion, Decoding, Request
from aligners.core.counts import separate
from aligners.core.rows import read_json, read_rows, write_rows
from aligners.synthesis.topics import (
    STOP,
    balance_topics,
    choose_examples,
    deduplicate_topics,
    parse_topics,
    topic_reason,
    topic_row,
    topics_prompt,
)

EXAMPLES = ["Noisy neighbours", "Strict parents"]


def rows(**topics: list[str]) -> list[dict[str, Any]]:
    """Return topic rows by question type."""
    return [
        topic_row("ethical", question_type, topic, 0, line)
        for question_type, names in topics.items()
        for line, topic in enumerate(names)
    ]


def continue_list(prompt: str, topics: list[str]) -> str:
    """Return the completion of a base LLM: the prompt ends with the first number."""
    last = prompt.rsplit("\n", 1)[1]
    first = int(last.rstrip("."))
    numbered = [f"{number}. {topic}" for number, topic in enumerate(topics, start=first)]
    return "\n".join(numbered).removeprefix(last)


# Prompt and parser


def parse(reply: str, complete: bool = True) -> list[tuple[str, str | None]]:
    """Parse a reply to the prompt with EXAMPLES."""
    completion = Completion("", reply, "stop" if complete else "length")
    return parse_topics(completion, EXAMPLES, Counter())


@pytest.mark.parametrize("chat", [False, True])
def test_the_parser_reads_the_list_of_base_and_chat_llms(chat: bool) -> None:
    topics = ["White lies", "St. Louis", "Health in the U.S.", "Rock'n'roll", "Work–life balance"]
    prompt = topics_prompt("advice", EXAMPLES, wanted=5, chat=chat)
    reply = continue_list(prompt, topics)
    if chat:
        reply = f"3.{reply}"
    long = "Health in the U.S."
    expected = [(topic, "too_long" if topic == long else None) for topic in topics]
    assert parse(reply) == expected


@pytest.mark.parametrize("chat", [False, True])
def test_the_prompt_has_the_question_type_the_examples_and_how_many_are_wanted(chat: bool) -> None:
    prompt = topics_prompt("advice", EXAMPLES, wanted=40, chat=chat)
    assert "advice" in prompt
    assert " 42 different topics" in prompt
    assert prompt.endswith("\n\n1. Noisy neighbours\n2. Strict parents\n3.")
    assert ("no other text" in prompt) == chat
    assert f"\n\n{prompt}".startswith(STOP)


@pytest.mark.parametrize(
    ("complete", "reason"), [(True, None), (False, "cut_off")], ids=["complete", "cut off"]
)
def test_the_last_line_is_dropped_if_it_was_cut_off(complete: bool, reason: str | None) -> None:
    assert parse(" Tax law\n4. Broken he", complete) == [("Tax law", None), ("Broken he", reason)]


def test_unnumbered_lines_are_dropped_and_empty_lines_are_ignored() -> None:
    assert parse(" Tax law\n\nHere are more:\n4) Old age\n 5 . Art\n6.\n") == [
        ("Tax law", None),
        ("Here are more:", "unnumbered"),
        ("Old age", None),
        ("Art", None),
        ("", "empty"),
    ]


def test_topics_of_the_prompt_and_of_the_next_list_are_dropped() -> None:
    reply = " Tax law\n4. strict Parents\n5. Old age\n\nTopics for questions\n\n1. Art\n2. Music"
    assert parse(reply) == [
        ("Tax law", None),
        ("strict Parents", "repeats_example"),
        ("Old age", None),
        ("Topics for questions", "unnumbered"),
        ("Art", "next_list"),
        ("Music", "next_list"),
    ]


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("Tax", None),
        ("St. Louis", None),
        ("Rights in Washington, D.C.", "too_long"),
        ("Washington D.C.", None),
        ("Éducation", None),
        ("Rock & roll", None),
        ("Men’s health", None),
        ("", "empty"),
        ("one two three", "no_capital"),
        ("“Quoted”", "no_capital"),
        ("One two three four", "too_long"),
        ("A" * 49, None),
        ("A" * 50, "too_long"),
        ("Ends here.", "final_punctuation"),
        ("Really?", "final_punctuation"),
        ("See http://a.b", "symbols"),
        ("Caf\\u00e9", "symbols"),
        ("Mail me@home", "symbols"),
        ("Snake_case", "symbols"),
        ("**Bold**", "symbols"),
        ("<b>Bold</b>", "symbols"),
    ],
)
def test_a_topic_keeps_all_rules_or_has_a_reason(topic: str, reason: str | None) -> None:
    assert topic_reason(topic) == reason


# Deduplication and balance


def test_duplicates_within_a_question_type_are_dropped() -> None:
    topics = rows(
        advice=["Noisy neighbours", "noisy  Neighbours", "Noisy neighbour", "Old age", "Young age"],
        beliefs=["Noisy neighbours"],
    )
    distinct, dropped = separate(deduplicate_topics(topics, shingle=3, similarity=0.8))
    kept = [(row["question_type"], row["topic"]) for row in distinct]
    assert kept == [
        ("advice", "Noisy neighbours"),
        ("advice", "Old age"),
        ("advice", "Young age"),
        ("beliefs", "Noisy neighbours"),
    ]
    assert [row["reason"] for row in dropped] == ["duplicate", "near_duplicate"]


def numbered(count: int) -> list[str]:
    return [f"Topic {number}" for number in range(count)]


def test_balance_limits_only_the_types_with_most_topics() -> None:
    topics = rows(a=numbered(10), b=numbered(11), c=numbered(1), d=numbered(90))
    kept, dropped = separate(balance_topics(topics, largest_to_median=2.0, seed=0))
    assert Counter(row["question_type"] for row in kept) == {
        "a": 10,
        "b": 11,
        "c": 1,
        "d": 21,
    }
    assert {row["reason"] for row in dropped} == {"over_cap"}
    assert {row["question_type"] for row in dropped} == {"d"}
    assert len(kept) + len(dropped) == len(topics)


def test_balance_shuffles_by_the_seed() -> None:
    topics = rows(a=numbered(30), b=numbered(30))
    first, again, other = (
        [row["id"] for row in separate(balance_topics(topics, 2.0, seed))[0]] for seed in (0, 0, 1)
    )
    assert first == again != other
    assert sorted(first) == sorted(other)
    types = [row["question_type"] for row in separate(balance_topics(topics, 2.0, 0))[0]]
    assert len(list(groupby(types))) > 10


def test_examples_depend_on_the_seed() -> None:
    pool = numbered(50)
    assert choose_examples(pool, 5, 0, "advice/0/0") == choose_examples(pool, 5, 0, "advice/0/0")
    assert choose_examples(pool, 5, 0, "advice/0/0") != choose_examples(pool, 5, 1, "advice/0/0")
    assert sorted(choose_examples(EXAMPLES, 5, 0)) == EXAMPLES


# The programs


def brainstorm(rounds: int) -> list[dict[str, Any]]:
    """Run the program and return its topics."""
    generate_topics.main(
        criterion="ethical",
        teacher="closed-world-teacher",
        synthesis="closed-world",
        rounds=rounds,
        seed=0,
        output=Path("topics.jsonl"),
    )
    return read_rows(Path("topics.jsonl"))


LETTERS = "ABCDEFGHIJKLMNOPQRST"


def write_topics(request: Request, decoding: Decoding) -> Completion:
    """Continue the list with four good topics, a bad one and one that is cut off."""
    assert isinstance(request.prompt, str)
    topics = [f"{letter} {decoding.seed}" for letter in LETTERS[:4]] + ["bad one", "Cut o"]
    text = continue_list(request.prompt, [topic.replace(" ", " topic ") for topic in topics])
    return Completion(request.id, text, "length")


def test_a_round_shows_topics_of_the_earlier_rounds(project: Path, engine: FakeEngine) -> None:
    engine.reply = write_topics
    topics = brainstorm(rounds=3)
    types = [kind.type for kind in load_question_types("ethical")]
    assert Counter(row["question_type"] for row in topics) == dict.fromkeys(types, 12)
    assert Counter(row["round"] for row in topics) == dict.fromkeys(range(3), 80)
    assert len({row["id"] for row in topics}) == len(topics)
    assert read_json(Path("topics.counts.json")) == {
        "in": 20 * 3 * 6,
        "out": 20 * 3 * 4,
        "dropped": {"cut_off": 60, "no_capital": 60},
    }
    last = [request.prompt for request in engine.asked if "/2/" in request.id]
    assert any(re.search(r"\d\. \w topic [01]\n", str(prompt)) for prompt in last)
    assert not any(re.search(r"\d\. (bad|Cut)", str(prompt)) for prompt in last)


def test_if_rounds_are_added_only_they_are_requested(project: Path, engine: FakeEngine) -> None:
    engine.reply = write_topics
    first = brainstorm(rounds=1)
    engine.asked = []
    both = brainstorm(rounds=2)
    assert len(engine.asked) == 20
    assert all("/1/" in request.id for request in engine.asked)
    assert [row for row in both if row["round"] == 0] == first


def test_the_program_counts_every_topic_as_kept_or_dropped(project: Path) -> None:
    topics = rows(
        a=["Noisy neighbours", "Noisy Neighbours", *numbered(20)],
        b=["Quiet streets", "Quiet street"],
        c=["Old age"],
    )
    write_rows(Path("topics.jsonl"), topics)
    program.main(
        topics=Path("topics.jsonl"), synthesis="closed-world", seed=0, output=Path("few.jsonl")
    )
    counts = read_json(Path("few.counts.json"))
    assert counts["in"] == len(topics) == counts["out"] + sum(counts["dropped"].values())
    assert set(counts["dropped"]) == {"duplicate", "near_duplicate", "over_cap"}
    assert len(read_rows(Path("few.jsonl"))) == counts["out"]
    ids = {row["id"] for name in ("few", "few.dropped") for row in read_rows(Path(f"{name}.jsonl"))}
    assert ids == {row["id"] for row in topics}
