"""Questions: one for each hint of a question type and a topic, written by an LLM."""

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any

from aligners.configuration.criteria import QuestionType
from aligners.core.completions import Decoding
from aligners.core.counts import Sieve
from aligners.core.rows import Row, row_id
from aligners.synthesis.near_duplicates import NearDuplicates, normalise

# A model may repeat the hint in its brackets before the question.
NUMBERED = re.compile(r"\s*(?P<number>\d+)\s*[.)]\s*(\[[^]|]*\|[^]]*\])?\s*(?P<question>.*)")
MAXIMUM_CHARACTERS = 1000


@dataclass(frozen=True)
class Hint:
    """What a question is to be about. Hints that recur have different ordinals."""

    question_type: str
    topic: str
    ordinal: int


def make_hints(topics: Sequence[Row], count: int) -> list[Hint]:
    """Return `count` hints that go through the topics in turn, as often as needed."""
    return [
        Hint(row["question_type"], row["topic"], number // len(topics))
        for number, row in enumerate(islice(cycle(topics), count))
    ]


def choose_seed_questions(
    question_types: Sequence[QuestionType], count: int, *seed: object
) -> list[tuple[str, str, str]]:
    """Return a sample of (question type, topic, question) that the seed parts decide."""
    pool = [(kind.name, *seed) for kind in question_types for seed in kind.seed_questions]
    return random.Random("/".join(map(str, seed))).sample(pool, min(count, len(pool)))


def questions_prompt(examples: Sequence[tuple[str, str, str]], hints: Sequence[Hint]) -> str:
    """Ask for one numbered question per hint, after examples as (type, topic, question)."""
    shown = "\n".join(
        f"{number}. [{question_type} | {topic}] {question}"
        for number, (question_type, topic, question) in enumerate(examples, start=1)
    )
    asked = "\n".join(
        f"{number}. [{hint.question_type} | {hint.topic}]"
        for number, hint in enumerate(hints, start=len(examples) + 1)
    )
    return (
        "Write one question for each numbered line. It fits the question type and the topic in "
        f"the brackets.\n\n{shown}\n\n{asked}\n\nQuestions:\n{len(examples) + 1}."
    )


def questions_decoding(settings: Mapping[str, Any], seed: int) -> Decoding:
    """Return how questions are drawn, by the synthesis recipe's `questions`."""
    return Decoding(
        max_new_tokens=settings["max_new_tokens"], temperature=settings["temperature"], seed=seed
    )


def parse_questions(completion: str, first: int, complete: bool) -> dict[int, str]:
    """Return the questions of a completion by their number.

    The first line goes on after the number `first` that ends the prompt, unless it has one itself,
    as in the reply of a chat LLM. Other lines without a number are passed over, and so is a last
    line that was cut off.
    """
    lines = completion.lstrip().split("\n")
    if not NUMBERED.fullmatch(lines[0]):
        lines[0] = f"{first}. {lines[0]}"
    if not complete:
        lines.pop()
    questions: dict[int, str] = {}
    for line in lines:
        match = NUMBERED.fullmatch(line)
        if match and match["question"].strip():
            questions.setdefault(int(match["number"]), match["question"].strip())
    return questions


def question_reason(question: str) -> str | None:
    """Return why a line is no question, or None."""
    if len(question) > MAXIMUM_CHARACTERS:
        return "too_long"
    if "?" not in question or len(question.split()) < 2:
        return "not_a_question"
    return None


def question_row(criterion: str, hint: Hint, question: str) -> Row:
    """Return the row of a question."""
    return {
        "id": row_id(question),
        "criterion": criterion,
        "question_type": hint.question_type,
        "topic": hint.topic,
        "question": question,
    }


def deduplicate_questions(rows: Sequence[Row], shingle: int, similarity: float) -> Sieve:
    """Keep the first of each question: exact and near-duplicates go."""
    sieve = Sieve()
    seen: set[str] = set()
    near = NearDuplicates(shingle, similarity)
    for row in rows:
        if normalise(row["question"]) in seen:
            sieve.drop(row, "duplicate")
        elif near.find_and_add(row["id"], row["question"]):
            sieve.drop(row, "near_duplicate")
        else:
            sieve.keep(row)
        seen.add(normalise(row["question"]))
    return sieve
