"""Pairs of a response and its correction: the prompt that asks for them, and its parser.

Both for a base LLM, which continues a text, and for a chat LLM, which answers messages. One format
serves all criteria, so that what is asked for is what is parsed.
"""

import re
from collections.abc import Mapping
from typing import Any

from aligners.configuration.criteria import Demonstration, Principles, numbered
from aligners.core.completions import Completion, Decoding, Prompt
from aligners.core.rows import Row

STOP = "\n\nInput:"
SECTIONS = re.compile(
    r"\s*(Response:)?(?P<response>.*?)"
    r"\n\s*Critique:(?P<critique>.*?)"
    r"\n\s*Correction:(?P<correction>.*)",
    re.DOTALL,
)


def instructions(principles: Principles) -> str:
    """Return the introduction and the numbered principles."""
    return f"{principles.introduction}\n\n{numbered(principles)}"


def answer(demonstration: Demonstration) -> str:
    """Return a demonstration as it is to be answered."""
    return (
        f"Response: {demonstration.response}\n"
        f"Critique: {demonstration.critique}\n"
        f"Correction: {demonstration.correction}"
    )


def pairs_prompt(principles: Principles, question: str, chat: bool) -> Prompt:
    """Ask for a response to a question, a critique by the principles, and a correction."""
    if not chat:
        shown = [f"Input: {item.input}\n{answer(item)}" for item in principles.demonstrations]
        return "\n\n".join([instructions(principles), *shown, f"Input: {question}\nResponse:"])
    messages = [{"role": "system", "content": instructions(principles)}]
    for item in principles.demonstrations:
        messages.append({"role": "user", "content": f"Input: {item.input}"})
        messages.append({"role": "assistant", "content": answer(item)})
    return [*messages, {"role": "user", "content": f"Input: {question}"}]


def pairs_decoding(settings: Mapping[str, Any], seed: int) -> Decoding:
    """Return how pairs are drawn, by the synthesis recipe's `pairs`."""
    return Decoding(
        max_new_tokens=settings["max_new_tokens"],
        temperature=settings["temperature"],
        repetition_penalty=settings["repetition_penalty"],
        stop=(STOP,),
        seed=seed,
    )


def parse_pair(completion: Completion) -> tuple[dict[str, str], str | None]:
    """Return response, critique and aligned response of a completion, or the reason why not.

    The reasons are no_critique, no_correction and cut_off (the limit came before the end).
    """
    text = completion.text.split(STOP)[0]
    match = SECTIONS.fullmatch(text)
    if not match:
        return {}, "no_correction" if re.search(r"\n\s*Critique:", text) else "no_critique"
    if completion.finish == "length":
        return {}, "cut_off"
    fields = {
        "response": match["response"].strip(),
        "critique": match["critique"].strip(),
        "aligned_response": match["correction"].strip(),
    }
    return fields, None


def pair_row(criterion: str, question: Row, fields: dict[str, str]) -> Row:
    """Return the row of a pair, under the id of its question."""
    return {
        "id": question["id"],
        "criterion": criterion,
        "question": question["question"],
        **fields,
    }
