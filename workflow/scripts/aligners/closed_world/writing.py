"""Writes topics, questions and pairs as text, and plants defects in them."""

import random
from collections.abc import Sequence
from typing import Any

from aligners.closed_world.plans import PairPlan, violated_principle
from aligners.closed_world.world import Item, World, choose_or_none, topic_key, type_key

MAX_TOPICS = 20
# The texts (response, critique, correction).
Pair = tuple[str, str, str]


def write_topics(
    world: World, question_type: str, examples: Sequence[str], rng: random.Random
) -> list[str]:
    """Write new topics of a question type, one per line. Some have defects."""
    known = world.topics.get(type_key(question_type)) or sorted(set().union(*world.topics.values()))
    shown = set(map(topic_key, examples))
    fresh = [topic for topic in known if topic_key(topic) not in shown]
    rng.shuffle(fresh)
    lines: list[str] = []
    for topic in fresh[:MAX_TOPICS]:
        defect = choose_or_none(rng, world.content["misbehaviour"]["topics"])
        if defect in ("duplicate", "near_duplicate"):
            lines.append(topic)
            topic = rng.choice(lines)
        lines.append(corrupt_topic(topic, defect))
    return lines[:MAX_TOPICS]


def corrupt_topic(topic: str, defect: str | None) -> str:
    """Return a topic with a defect, or the topic itself for None and duplicates."""
    first, *rest = topic.split()
    variants = {
        "near_duplicate": topic.upper() if topic.endswith("s") else f"{topic}s",
        "too_long": f"A short history of {topic}",
        "lower_case": topic[0].lower() + topic[1:],
        "final_punctuation": f"{topic}.",
        "slashes": "//".join([first, *(rest or ["more"])]),
        "escape": f"{first}\\u00e9",
        "at_sign": f"@{first}",
        "underscore": "_".join([first, *(rest or ["topic"])]),
        "very_long": f"{topic} and everything that was ever said or written about it",
    }
    return variants.get(defect or "", topic)


def write_questions(
    world: World, hints: Sequence[tuple[int, str, str]], rng: random.Random
) -> dict[int, str]:
    """Return a line for each hint by its number. Some hints have no line.

    A line that starts with a line break is to be written without its number.
    """
    lines: dict[int, str] = {}
    earlier: list[str] = []
    for number, question_type, topic in hints:
        defect = choose_or_none(rng, world.content["misbehaviour"]["questions"])
        question = write_question(world, rng.choice(world.items_for(question_type, topic)), rng)
        if defect in ("duplicate", "near_duplicate") and earlier:
            question = rng.choice(earlier)
        earlier.append(question)
        if defect == "near_duplicate":
            question = edit_question(question, rng)
        elif defect == "not_a_question":
            question = rng.choice(world.content["not_questions"]).format(topic=topic)
        elif defect == "language":
            question = rng.choice(list(world.content["languages"].values()))["question"]
        elif defect == "without_number":
            question = f"\n{question}"
        if defect != "skipped":
            lines[number] = question
    return lines


def write_question(world: World, item: Item, rng: random.Random, contexts: str = "contexts") -> str:
    """Write a question about an item: a speaker, a task or both, then one of the ways to ask.

    `contexts` names the pool of contexts in the world's file.
    """
    pool = world.content[contexts]
    speaker, task = rng.choice(pool["speakers"]), rng.choice(pool["tasks"])
    context = rng.choice([speaker, task, f"{speaker} {task}"])
    return f"{context} {rng.choice(item.asks)}"


def edit_question(question: str, rng: random.Random) -> str:
    """Return the same question with a trivial edit."""
    stem = question.removesuffix("?")
    return rng.choice([f"{stem}, please?", f"{stem}??", f"Please, {question}", f"{stem} ?"])


def write_pair(world: World, plan: PairPlan, criterion: str, rng: random.Random) -> str:
    """Write a planned pair with its planted defect, without the first "Response:"."""
    principle = violated_principle(plan.response, criterion)
    critique = world.content["critiques"][principle]
    if principle == "none":
        critique = rng.choice(critique)
    pair = (plan.response.text, critique, plan.correction.text)
    if plan.defect == "unparsable":
        return write_broken_pair(pair, rng)
    if plan.defect:
        pair = corrupt_pair(world.content, pair, plan.defect, rng)
    return write_lines(*pair)


def write_lines(response: str, critique: str, correction: str) -> str:
    """Write a pair in the format of the demonstrations."""
    return f"{response}\nCritique: {critique}\nCorrection: {correction}"


def write_broken_pair(pair: Pair, rng: random.Random) -> str:
    """Write a pair without its critique, its correction, or both."""
    response, critique, correction = pair
    return rng.choice(
        [
            response,
            f"{response}\nCritique: {critique}",
            f"{response}\nCorrection: {correction}",
        ]
    )


def corrupt_pair(content: dict[str, Any], pair: Pair, defect: str, rng: random.Random) -> Pair:
    """Plant a defect in the response, in the correction, or in both."""
    response, critique, correction = pair
    where = rng.choice(["response", "correction", "both"])
    if defect == "no_content":
        where = "correction"
    if where != "correction":
        response = corrupt_answer(content, response, defect, rng)
    if where != "response":
        correction = corrupt_answer(content, correction, defect, rng)
    return response, critique, correction


def corrupt_answer(content: dict[str, Any], answer: str, defect: str, rng: random.Random) -> str:
    """Return the answer with a defect, or a bad text instead of the answer."""
    if defect == "leaked_prompt":
        if rng.random() < 0.5:
            return f"{rng.choice(content['leaks']['before'])} {answer}"
        return f"{answer} {rng.choice(content['leaks']['after'])}"
    if defect == "markup":
        opening, closing = rng.choice(content["markup"])
        return f"{opening}{answer}{closing}"
    if defect == "code":
        code: str = rng.choice(content["code"])
        return rng.choice([code, f"{answer} {code}"])
    if defect == "language":
        foreign: str = rng.choice(list(content["languages"].values()))["answer"]
        return foreign
    replacement: str = rng.choice(content[defect])
    return replacement
