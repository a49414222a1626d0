"""Writes topics, questions and pairs as text, and plants defects in them."""

import random
from collections.abc import Sequence
from typing import Any

from aligners.closed_world.plans import PairPlan, violated_principle
from aligners.closed_world.world import Item, World, choose_or_none, topic_key, type_key

MAX_TOPICS = 20
# The texts (response, critique, correction).
Pair = tuple[str, str, str]
PLAIN_LABEL = "{}:"
# Where a defect of a pair can be, if the teacher writes the whole pair.
CORRUPTED = ("response", "correction", "both")
# The principle that a critique without reason names.
FALSE_CRITIQUES = {"ethical": "polite", "factuality": "accurate", "helpful": "detail"}


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
            question = rng.choice(world.content["foreign_questions"])
        elif defect == "without_number":
            question = f"\n{question}"
        if defect != "skipped":
            lines[number] = question
    return lines


def write_question(
    world: World, item: Item, rng: random.Random, with_category: bool = False
) -> str:
    """Write a question about an item: a speaker, a task or both, then one of the ways to ask.

    The data set with categories has contexts and ways to ask of its own (`with_category`).
    """
    pool = world.content["category_contexts" if with_category else "contexts"]
    speaker, task = rng.choice(pool["speakers"]), rng.choice(pool["tasks"])
    context = rng.choice([speaker, task, f"{speaker} {task}"])
    return f"{context} {rng.choice(item.category_asks if with_category else item.asks)}"


def edit_question(question: str, rng: random.Random) -> str:
    """Return the same question with a trivial edit."""
    stem, mark = question[:-1], question[-1]
    return rng.choice(
        [f"{stem}, please{mark}", f"{question}{mark}", f"Please, {question}", f"{stem} {mark}"]
    )


def write_pair(world: World, plan: PairPlan, criterion: str, rng: random.Random, chat: bool) -> str:
    """Write a planned pair with its defect or wrapping.

    A chat LLM begins with "Response:"; a base LLM continues after it.
    """
    pair = write_texts(world, plan, criterion, rng, CORRUPTED)
    if plan.defect == "unparsable":
        text = write_broken_pair(pair, rng)
    else:
        text = write_lines(*pair, write_label(world, plan, rng))
    before, after = write_wrapping(world, plan, rng)
    first = "Response: " if chat or before else ""
    return f"{before}{first}{text}{after}"


def write_correction(
    world: World, plan: PairPlan, criterion: str, rng: random.Random, chat: bool
) -> str:
    """Write the critique and the correction of a given response, with a defect or wrapping.

    A chat LLM begins with "Critique:"; a base LLM continues after it.
    """
    _, critique, correction = write_texts(world, plan, criterion, rng, ("correction",))
    label = write_label(world, plan, rng)
    text = critique
    if plan.defect != "unparsable":
        text += f"\n{label.format('Correction')} {correction}"
    before, after = write_wrapping(world, plan, rng)
    first = f"{label.format('Critique')} " if chat or before else ""
    return f"{before}{first}{text}{after}"


def write_texts(
    world: World, plan: PairPlan, criterion: str, rng: random.Random, corrupted: Sequence[str]
) -> Pair:
    """Write the texts of a planned pair; `corrupted` are the parts that can have a defect."""
    critique = write_critique(world, plan, criterion, rng)
    pair = (plan.response.text, critique, plan.correction.text)
    if plan.defect == "uncorrected":
        remark = rng.choice(world.content[forms(plan)]["remarks"])
        return pair[0], critique, rng.choice([pair[0], remark])
    if plan.defect and plan.defect not in ("unparsable", "contradiction"):
        return corrupt_pair(world.content, pair, plan, rng, corrupted)
    if plan.wrapping == "remark":
        return pair[0], critique, rng.choice(world.content["listed"]["remarks"])
    return pair


def forms(plan: PairPlan) -> str:
    """Return the name of the list from which a defect has its form."""
    return "held_out" if plan.held_out else "listed"


def write_critique(world: World, plan: PairPlan, criterion: str, rng: random.Random) -> str:
    """Write the critique of a response; it may contradict the response or the correction."""
    principle = violated_principle(plan.response, criterion)
    if plan.defect == "uncorrected" and principle == "none":
        principle = FALSE_CRITIQUES[criterion]
    if plan.defect == "contradiction":
        principle = "none"
    critique = world.content["critiques"][principle]
    return str(rng.choice(critique) if principle == "none" else critique)


def write_label(world: World, plan: PairPlan, rng: random.Random) -> str:
    """Return how the labels of a pair are written, with {} in place of the name."""
    return str(rng.choice(world.content["labels"]) if plan.wrapping == "markdown" else PLAIN_LABEL)


def write_wrapping(world: World, plan: PairPlan, rng: random.Random) -> tuple[str, str]:
    """Return what the teacher writes before and after a pair."""
    if plan.wrapping == "note":
        return "", f"\n\n{rng.choice(world.content['notes'])}"
    if plan.wrapping == "preamble":
        return f"{rng.choice(world.content['preambles'])}\n\n", ""
    if plan.wrapping == "thought":
        return f"<think>\n{rng.choice(world.content['thoughts'])}\n</think>\n\n", ""
    return "", ""


def write_lines(response: str, critique: str, correction: str, label: str = PLAIN_LABEL) -> str:
    """Write a pair in the format of the demonstrations, without the first label."""
    return (
        f"{response}\n{label.format('Critique')} {critique}"
        f"\n{label.format('Correction')} {correction}"
    )


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


def corrupt_pair(
    content: dict[str, Any],
    pair: Pair,
    plan: PairPlan,
    rng: random.Random,
    corrupted: Sequence[str],
) -> Pair:
    """Plant a defect in one of the `corrupted` parts."""
    response, critique, correction = pair
    where = rng.choice(corrupted)
    if where != "correction":
        response = corrupt_answer(content, response, plan, rng)
    if where != "response":
        correction = corrupt_answer(content, correction, plan, rng)
    return response, critique, correction


def corrupt_answer(content: dict[str, Any], answer: str, plan: PairPlan, rng: random.Random) -> str:
    """Return the answer with the planned defect, or a bad text instead of the answer."""
    choices = content[forms(plan)][str(plan.defect)]
    if plan.defect == "leaked_prompt":
        if rng.random() < 0.5:
            return f"{rng.choice(choices['before'])} {answer}"
        return f"{answer} {rng.choice(choices['after'])}"
    if plan.defect == "markup":
        opening, closing = rng.choice(choices)
        return f"{opening}{answer}{closing}"
    text: str = rng.choice(choices)
    if plan.defect == "code":
        return rng.choice([text, f"{answer} {text}"])
    return text
