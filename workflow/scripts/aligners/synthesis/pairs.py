"""Pairs: the teacher writes a response, a critique and a correction for each question.

All criteria share one format, and so do base LLMs, which continue a text, and chat LLMs, which get
messages. The demonstrations in the prompt have the format that the parser reads.
"""

import re
from collections.abc import Iterator, Sequence
from functools import partial

from aligners.configuration.criteria import load_principles, numbered
from aligners.configuration.kinds.criteria import Demonstration, Principles
from aligners.core.completions import Completion, Decoding, Failure, Prompt, Request
from aligners.core.counts import Filtered
from aligners.core.rows import Row
from aligners.llms.generator import Generator
from aligners.synthesis.task import Task

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


def demonstrated_pair(demonstration: Demonstration) -> str:
    """Return a demonstration's pair in the format of a completion."""
    return (
        f"Response: {demonstration.response}\n"
        f"Critique: {demonstration.critique}\n"
        f"Correction: {demonstration.correction}"
    )


def pairs_prompt(principles: Principles, question: str, chat: bool) -> Prompt:
    """Return a prompt for a response to the question, its critique and its correction."""
    if not chat:
        examples = [
            f"Input: {item.input}\n{demonstrated_pair(item)}" for item in principles.demonstrations
        ]
        return "\n\n".join([instructions(principles), *examples, f"Input: {question}\nResponse:"])
    messages = [{"role": "system", "content": instructions(principles)}]
    for item in principles.demonstrations:
        messages.append({"role": "user", "content": f"Input: {item.input}"})
        messages.append({"role": "assistant", "content": demonstrated_pair(item)})
    return [*messages, {"role": "user", "content": f"Input: {question}"}]


def pair_request(task: Task, principles: Principles, question: Row) -> Request:
    """Return the request for the pair of a question. Its id is the question's id."""
    prompt = pairs_prompt(principles, question["question"], task.llm.chat)
    return Request(question["id"], prompt)


def pairs_decoding(task: Task) -> Decoding:
    """Return how pairs are sampled. The stop string ends a base LLM's text after the pair."""
    return Decoding(
        max_new_tokens=task.synthesis.pairs.max_new_tokens,
        temperature=task.synthesis.pairs.temperature,
        repetition_penalty=task.synthesis.pairs.repetition_penalty,
        stop=(STOP,),
        seed=task.seed,
    )


def parse_pair(completion: Completion) -> tuple[dict[str, str], str | None]:
    """Return the fields of a pair (response, critique, aligned_response) and None.

    If the completion has no pair, return no fields and the reason: no_critique, no_correction or
    cut_off (the completion reached its token limit).
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
    """Return the row of a pair. Its id is the question's id."""
    return {
        "id": question["id"],
        "criterion": criterion,
        "question": question["question"],
        **fields,
    }


def read_pair(criterion: str, question: Row, result: Completion | Failure) -> Filtered:
    """Return the row of a pair, and the reason to drop it or None.

    A row without a pair has the completion instead, which shows the teacher's text.
    """
    if isinstance(result, Failure):
        return pair_row(criterion, question, {}), result.cause
    fields, reason = parse_pair(result)
    return pair_row(criterion, question, fields or {"completion": result.text}), reason


def generate_pairs(
    task: Task, generator: Generator, questions: Sequence[Row], description: str
) -> Iterator[Filtered]:
    """Yield the pair of each question. `description` names the questions in the log."""
    principles = load_principles(task.criterion)
    request_for = partial(pair_request, task, principles)
    results = generator.complete(questions, request_for, pairs_decoding(task), description)
    for question, result in results:
        yield read_pair(task.criterion, question, result)
