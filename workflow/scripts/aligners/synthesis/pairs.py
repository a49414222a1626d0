"""Pairs: the teacher writes a response, a critique and a correction for each question.

If the response is given, the teacher writes only the critique and the correction.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from heapq import merge

from aligners.configuration.criteria import load_principles
from aligners.configuration.kinds.criteria import Principles
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.counts import Filtered
from aligners.core.rows import Row
from aligners.llms.generator import Generator
from aligners.synthesis.near_duplicates import wording, wordings
from aligners.synthesis.own_data import PROVENANCE
from aligners.synthesis.pair_prompts import json_fields, pairs_prompt
from aligners.synthesis.pair_replies import STOP, parse_pair
from aligners.synthesis.task import Task
from aligners.synthesis.teacher_check import ask_first, check_teacher


def pair_request(task: Task, principles: Principles, question: Row) -> Request:
    """Return the request for the pair of a question. Its id is the question's id.

    The question's row has the response if it is given.
    """
    response, in_json = question.get("response"), task.llm.writes_json()
    text, chat = question["question"], task.llm.chat
    prompt = pairs_prompt(principles, text, chat, response, in_json, task.languages)
    return Request(question["id"], prompt)


def pairs_decoding(task: Task, given: bool = False) -> Decoding:
    """Return how pairs are sampled. The stop string ends a base LLM's text after the pair.

    `given` tells whether the responses are given, so that structured output has no such field.
    """
    in_json = task.llm.writes_json()
    return Decoding(
        max_new_tokens=task.synthesis.pairs.max_new_tokens,
        temperature=task.synthesis.pairs.temperature,
        top_p=task.synthesis.pairs.top_p,
        top_k=task.synthesis.pairs.top_k,
        repetition_penalty=task.synthesis.pairs.repetition_penalty,
        stop=() if in_json else (STOP,),
        seed=task.seed,
        json_fields=json_fields(given) if in_json else (),
    )


def pair_row(criterion: str, question: Row, fields: dict[str, str]) -> Row:
    """Return the row of a pair. Its id is the question's id."""
    kept = ("response", "response_by", "kind", *PROVENANCE)
    given: Row = {name: question[name] for name in kept if name in question}
    return {
        "id": question["id"],
        "criterion": criterion,
        "question": question["question"],
        **given,
        **fields,
    }


def demonstrated_texts(principles: Principles) -> dict[str, set[str]]:
    """Return the wordings of responses and corrections of the demonstrations.

    With each of them: the wordings of the questions that have it in the prompt.
    """
    questions: dict[str, set[str]] = {}
    for item in principles.demonstrations:
        for text in wordings((item.response, item.correction)):
            questions.setdefault(text, set()).add(wording(item.input))
    return questions


def is_copied(
    fields: Mapping[str, str], question: Row, demonstrated: Mapping[str, set[str]]
) -> bool:
    """Return whether the teacher copied a text of a demonstration that has another question.

    It did not write a given response, and a correction that equals it is no copy of the prompt.
    """
    written = wordings(fields[name] for name in ("response", "aligned_response"))
    if "response" in question:
        written -= {wording(question["response"])}
    asked = wording(question["question"])
    return any(text in demonstrated and asked not in demonstrated[text] for text in written)


def read_pair(
    criterion: str,
    demonstrated: Mapping[str, set[str]],
    question: Row,
    result: Completion | Failure,
    removed: Counter[str],
) -> Filtered:
    """Return the row of a pair, and the reason to drop it or None.

    A row without a pair has the completion instead, which shows the teacher's text. `demonstrated`
    has the texts of the prompt: a pair that copies one is no pair for the question.
    """
    if isinstance(result, Failure):
        return pair_row(criterion, question, {}), result.cause
    fields, reason = parse_pair(result, removed, question.get("response"))
    if fields and is_copied(fields, question, demonstrated):
        fields, reason = {}, "copied_demonstration"
    return pair_row(criterion, question, fields or {"completion": result.text}), reason


def generate_pairs(
    task: Task,
    generator: Generator,
    questions: Sequence[Filtered],
    description: str,
    removed: Counter[str],
) -> Iterator[Filtered]:
    """Return the pair of each question, in their order.

    Args:
        task: its criterion and its teacher.
        generator: asks the teacher.
        questions: each with the reason to ask for no pair, or None (`add_first_responses`).
        description: names the questions in the log.
        removed: counts what is removed around the texts.

    Raises:
        UserError: too few of the first pairs can be used (`teacher_check`).
    """
    principles = load_principles(task.criterion)
    request_for = partial(pair_request, task, principles)
    read = partial(read_pair, task.criterion, demonstrated_texts(principles))
    asked = [question for question, reason in questions if reason is None]
    decoding = pairs_decoding(task, given=all("response" in question for question in asked))
    first = ask_first(generator, asked, request_for, decoding, description)
    shown = [read(question, result, Counter()) for question, result in first]
    check_teacher(task, generator, shown, len(asked) - len(shown), description)
    pairs = (
        read(question, result, removed)
        for question, result in generator.complete(asked, request_for, decoding, description)
    )
    dropped = (
        (pair_row(task.criterion, question, {}), reason) for question, reason in questions if reason
    )
    places = {question["id"]: place for place, (question, _) in enumerate(questions)}
    return merge(pairs, dropped, key=lambda filtered: places[filtered[0]["id"]])
