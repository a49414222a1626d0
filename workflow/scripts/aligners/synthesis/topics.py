"""Topics: what questions of each type may be about, brainstormed by an LLM."""

import random
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from aligners.core.completions import Decoding
from aligners.core.counts import Sieve
from aligners.core.rows import Row, row_id, seeded_order
from aligners.synthesis.near_duplicates import NearDuplicates, normalise

MAXIMUM_WORDS = 3
MAXIMUM_CHARACTERS = 50
SYMBOLS = re.compile(r"//|\\u|[@_#*<>{}|]")
ABBREVIATION = re.compile(r"(\b\w\.)+$")
NUMBERED = re.compile(r"\s*\d+\s*[.)]\s*(?P<topic>.*)")


def topics_prompt(question_type: str, examples: Sequence[str]) -> str:
    """Ask for a list of topics to be continued after the examples."""
    numbered = "\n".join(f"{number}. {topic}" for number, topic in enumerate(examples, start=1))
    return (
        f"Topics for questions that ask for {question_type}.\n"
        f"Each topic has at most {MAXIMUM_WORDS} words, starts with a capital letter and ends "
        f"without punctuation.\n\n{numbered}\n{len(examples) + 1}."
    )


def topic_reason(topic: str) -> str | None:
    """Return which rule for topics a text breaks, or None."""
    if not topic:
        return "empty"
    if SYMBOLS.search(topic):
        return "symbols"
    if len(topic.split()) > MAXIMUM_WORDS or len(topic) >= MAXIMUM_CHARACTERS:
        return "too_long"
    if not topic[0].isupper():
        return "no_capital"
    if topic[-1] in ".,;:!?" and not ABBREVIATION.search(topic):
        return "final_punctuation"
    return None


def parse_topics(completion: str, complete: bool) -> list[tuple[str, str | None]]:
    """Return each line of a completion as (topic, reason to drop it or None).

    The first line goes on after the number that ends the prompt. The last line counts unless the
    completion was cut off in the middle of it (`complete` is false).
    """
    topics: list[tuple[str, str | None]] = []
    lines = completion.split("\n")
    for index, line in enumerate(lines):
        match = NUMBERED.fullmatch(line)
        if not match and not line.strip():
            continue
        topic = match["topic"].strip() if match else line.strip()
        if index > 0 and not match:
            reason: str | None = "unnumbered"
        elif index == len(lines) - 1 and not complete:
            reason = "cut_off"
        else:
            reason = topic_reason(topic)
        topics.append((topic, reason))
    return topics


def choose_examples(pool: Sequence[str], count: int, *seed: object) -> list[str]:
    """Return a sample of example topics that the seed parts decide."""
    chooser = random.Random("/".join(map(str, seed)))
    return chooser.sample(list(pool), min(count, len(pool)))


def brainstorm_prompts(
    pools: Mapping[str, Sequence[str]], number: int, seed: int, settings: Mapping[str, Any]
) -> dict[str, str]:
    """Return the prompts of one round by their keys: for each question type a few, with examples.

    Args:
        pools: the topics of each question type that examples are taken from.
        number: of the round, from 0.
        seed: of the examples.
        settings: the synthesis recipe's `topics`.
    """
    prompts = {}
    for question_type, pool in pools.items():
        for prompt in range(settings["prompts_per_type"]):
            key = f"{question_type}/{number}/{prompt}"
            examples = choose_examples(pool, settings["examples_per_prompt"], seed, key)
            prompts[key] = topics_prompt(question_type, examples)
    return prompts


def topics_decoding(settings: Mapping[str, Any], seed: int) -> Decoding:
    """Return how topics are drawn, by the synthesis recipe's `topics`."""
    return Decoding(
        max_new_tokens=settings["max_new_tokens"], temperature=settings["temperature"], seed=seed
    )


def topic_row(criterion: str, question_type: str, topic: str, round_number: int, line: int) -> Row:
    """Return the row of a topic; `line` counts the lines of its question type in its round."""
    return {
        "id": row_id(criterion, question_type, str(round_number), str(line), topic),
        "criterion": criterion,
        "question_type": question_type,
        "topic": topic,
        "round": round_number,
    }


def deduplicate_topics(rows: Sequence[Row], shingle: int, similarity: float) -> Sieve:
    """Keep the first of each topic of a question type: exact and near-duplicates go."""
    sieve = Sieve()
    seen: dict[str, set[str]] = defaultdict(set)
    near: dict[str, NearDuplicates] = defaultdict(lambda: NearDuplicates(shingle, similarity))
    for row in rows:
        question_type, topic = row["question_type"], row["topic"]
        if normalise(topic) in seen[question_type]:
            sieve.drop(row, "duplicate")
        elif near[question_type].find_and_add(row["id"], topic):
            sieve.drop(row, "near_duplicate")
        else:
            sieve.keep(row)
        seen[question_type].add(normalise(topic))
    return sieve


def balance_topics(rows: Sequence[Row], largest_to_median: float, seed: int) -> Sieve:
    """Cap the topics of a question type at a multiple of the median over types, and shuffle.

    Types with few topics cost the others nothing; a type with very many is sampled.
    """
    by_type: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: seeded_order(row, seed)):
        by_type[row["question_type"]].append(row)
    cap = int(largest_to_median * median(len(group) for group in by_type.values()))
    sieve = Sieve()
    for group in by_type.values():
        for position, row in enumerate(group):
            sieve.put(row, "over_cap" if position >= max(1, cap) else None)
    sieve.kept.sort(key=lambda row: seeded_order(row, seed))
    return sieve
