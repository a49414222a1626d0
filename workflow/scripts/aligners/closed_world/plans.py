"""Plans: the content of an LLM's answers and pairs before they are written as text.

The engine writes text from plans. The truth derives verdicts from the same plans.
"""

import random
from dataclasses import dataclass, replace
from typing import get_args

from aligners.closed_world.answers import Answer
from aligners.closed_world.world import CRITERIA, Item, World, choose, choose_or_none, make_rng
from aligners.configuration.kinds.worlds import Defect, Wrapping

# The least and the most fillers of a long answer.
FILLERS_OF_LONG_ANSWERS = (15, 30)
# Share of the defects with a form that the authors of filters have not listed.
HELD_OUT_SHARE = 0.5

# Defects for which a pair is to be dropped.
PLANTED: tuple[str, ...] = get_args(Defect)
# What the teacher writes around a pair that is to be kept.
WRAPPINGS: tuple[str, ...] = get_args(Wrapping)


@dataclass(frozen=True)
class PairPlan:
    """A pair before it is written as text.

    Attributes:
        response: the first response.
        correction: its correction.
        defect: the planted defect, one of PLANTED, or None.
        held_out: whether the defect has a form that the authors of filters have not listed.
        wrapping: one of WRAPPINGS or None. A remark stands in place of a correction that would
            equal the response.
    """

    response: Answer
    correction: Answer
    defect: str | None
    held_out: bool
    wrapping: str | None


def plan_answer(world: World, item: Item, persona: str, rng: random.Random) -> Answer:
    """Plan a persona's answer, with violations and style at the persona's rates."""
    rates = world.content["personas"][persona]
    return add_style(world, plan_content(world, item, rates, rng), persona, rng)


def plan_content(world: World, item: Item, rates: dict[str, float], rng: random.Random) -> Answer:
    """Plan an answer that violates each criterion with the probability `rates[criterion]`."""
    answer = Answer(item, value=item.right, detail=item.detail)
    for criterion in ("factuality", "ethical", "helpful"):
        if rng.random() < rates[criterion]:
            answer = violate(world, answer, criterion, rng)
    return answer


def add_style(world: World, answer: Answer, persona: str, rng: random.Random) -> Answer:
    """Add an opener or a closer of the persona's style, and fillers that make an answer long."""
    rates = world.content["personas"][persona]
    style = world.styles["teacher" if persona == "teacher" else "llms"]
    if rng.random() < rates["opener"]:
        answer = replace(answer, opener=rng.choice(style["before"]))
    if rng.random() < rates["closer"]:
        answer = replace(answer, closer=rng.choice(style["after"]))
    if rng.random() < rates["long"]:
        fillers = world.content["fillers"]
        count = rng.randint(*FILLERS_OF_LONG_ANSWERS)
        answer = replace(answer, fillers=tuple(rng.choices(fillers, k=count)))
    return answer


def violate(world: World, answer: Answer, criterion: str, rng: random.Random) -> Answer:
    """Make an answer violate a criterion."""
    if criterion == "factuality":
        return replace(answer, value=rng.choice(answer.item.wrong), evasive="")
    if criterion == "ethical":
        return violate_ethics(world, answer, rng)
    return violate_helpfulness(world, answer, rng)


def violate_ethics(world: World, answer: Answer, rng: random.Random) -> Answer:
    """Add an insult, the unsafe or biased sentence of the item, or both."""
    kind = choose(rng, world.content["violations"]["ethical"])
    sentence = answer.item.bad_sentence
    if sentence and kind != "insult":
        answer = replace(answer, bad_sentence=sentence)
    if not sentence or kind != "sentence":
        where = rng.choice(["before", "after"])
        answer = replace(answer, **{f"insult_{where}": rng.choice(world.content["insults"][where])})
    return answer


def violate_helpfulness(world: World, answer: Answer, rng: random.Random) -> Answer:
    """Evade the question, omit the detail, or both.

    An answer with a wrong value keeps the value, so that it still violates factuality.
    """
    kind = choose(rng, world.content["violations"]["helpful"])
    if answer.value != answer.item.right:
        kind = "no_detail"
    if kind != "no_detail":
        answer = replace(answer, value="", evasive=rng.choice(world.content["evasive"]))
    return answer if kind == "evasive_with_detail" else replace(answer, detail="")


def repair(answer: Answer, criterion: str) -> Answer:
    """Return the answer without its violations of one criterion. Other violations stay."""
    item = answer.item
    if criterion == "ethical":
        return replace(answer, insult_before="", bad_sentence="", insult_after="")
    if criterion == "factuality":
        return answer if answer.evasive else replace(answer, value=item.right)
    return replace(answer, value=answer.value or item.right, evasive="", detail=item.detail)


def violated_principle(answer: Answer, criterion: str) -> str:
    """Return the name of the principle that the answer violates, or "none"."""
    if answer.clean[criterion]:
        return "none"
    if criterion == "ethical":
        if answer.insult_before or answer.insult_after:
            return "polite"
        return "care" if answer.item.unsafe else "fair"
    if criterion == "factuality":
        return "clarify" if answer.item.kind == "unclear" else "accurate"
    return "useful" if answer.evasive else "detail"


def plan_first_response(world: World, item: Item, criterion: str, rng: random.Random) -> Answer:
    """Plan the teacher's response, which violates the criterion as often as demonstrated."""
    rates = dict(world.content["personas"]["teacher"])
    rates[criterion] = rates["demonstrated"]
    response = add_style(world, plan_content(world, item, rates, rng), "teacher", rng)
    rate = world.content["misbehaviour"]["asides"]
    aside = choose_or_none(rng, dict.fromkeys(world.content["asides"], rate))
    return replace(response, aside=aside or "")


def plan_pair(
    world: World,
    item: Item,
    question: str,
    criterion: str,
    seed: int,
    given_response: Answer | None = None,
) -> PairPlan:
    """Plan the teacher's response to a question, its correction, and what is wrong with the pair.

    The response is planned unless it is given. Some corrections have a side effect: they violate
    another criterion.
    """
    rng = make_rng("pair", question, criterion, seed)
    misbehaviour = world.content["misbehaviour"]
    response = given_response or plan_first_response(world, item, criterion, rng)
    correction = repair(response, criterion)
    if correction != response and rng.random() < misbehaviour["side_effects"]:
        other = rng.choice([each for each in CRITERIA if each != criterion])
        correction = repair(violate(world, correction, other, rng), criterion)
    defect = choose_or_none(rng, misbehaviour["pairs"])
    if defect == "contradiction" and correction == response:
        correction = violate(world, correction, criterion, rng)
    wrapping = choose_or_none(rng, misbehaviour["wrappings"])
    if defect or (wrapping == "remark" and correction != response):
        wrapping = None
    return PairPlan(response, correction, defect, rng.random() < HELD_OUT_SHARE, wrapping)
