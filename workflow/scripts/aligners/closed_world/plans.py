"""Plans: the content of an LLM's answers and pairs before they are written as text.

The engine writes text from plans. The truth derives verdicts from the same plans.
"""

import random
from dataclasses import dataclass, replace

from aligners.closed_world.answers import Answer
from aligners.closed_world.world import CRITERIA, Item, World, choose, choose_or_none, make_rng

PLANTED = ("unparsable", "leaked_prompt", "markup", "code", "language", "empty", "no_content")


@dataclass(frozen=True)
class PairPlan:
    """A pair before it is written as text, with the planted defect or None."""

    response: Answer
    correction: Answer
    defect: str | None


def plan_answer(world: World, item: Item, rates: dict[str, float], rng: random.Random) -> Answer:
    """Plan an answer that violates each criterion with the probability `rates[criterion]`."""
    violated = {criterion: rng.random() < rates[criterion] for criterion in CRITERIA}
    answer = Answer(item, value=item.right, detail=item.detail)
    if violated["factuality"]:
        answer = replace(answer, value=rng.choice(answer.item.wrong))
    if violated["ethical"]:
        answer = violate_ethics(world, answer, rng)
    if violated["helpful"]:
        answer = violate_helpfulness(world, answer, rng)
    return answer


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


def plan_pair(world: World, item: Item, question: str, criterion: str, seed: int) -> PairPlan:
    """Plan the teacher's response to a question, its correction, and the planted defect."""
    rng = make_rng("pair", question, criterion, seed)
    rates = dict(world.content["personas"]["teacher"])
    rates[criterion] = rates["demonstrated"]
    misbehaviour = world.content["misbehaviour"]
    defect = choose_or_none(rng, misbehaviour["pairs"])
    aside = choose_or_none(rng, dict.fromkeys(world.content["asides"], misbehaviour["asides"]))
    response = replace(plan_answer(world, item, rates, rng), aside=aside or "")
    return PairPlan(response, repair(response, criterion), defect)
