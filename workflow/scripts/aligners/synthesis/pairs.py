"""Pairs: the teacher writes a response, a critique and a correction for each question.

If the response is given, the teacher writes only the critique and the correction.
"""

import re
from collections import Counter
from collections.abc import Container, Iterator, Sequence
from functools import partial
from heapq import merge

from aligners.configuration.criteria import load_principles
from aligners.configuration.kinds.criteria import Principles
from aligners.core.completions import (
    Completion,
    Decoding,
    Failure,
    Request,
    before_stop,
)
from aligners.core.counts import Filtered
from aligners.core.rows import Row
from aligners.llms.cleaning import (
    clean,
    without_fence,
    without_introduction,
    without_markdown,
    without_notes,
)
from aligners.llms.generator import Generator
from aligners.llms.remarks import is_introduction
from aligners.synthesis.near_duplicates import normalise
from aligners.synthesis.pair_prompts import pairs_prompt
from aligners.synthesis.task import Task

STOP = "\n\nInput:"
# After a pair, a base LLM may also go on with the turns of a chat.
NEXT_TURNS = ("\n\nHuman:", "\n\nUser:")


def label(names: str) -> re.Pattern[str]:
    """Return a pattern of a label at the start of a line, as LLMs write it.

    For instance "Critique:", "**Critique:**", "### Critique", "2. Critique -", "critique (fair):".
    """
    return re.compile(
        r"^(?:[^\w\n]|_)*(?:\d+[.)](?:[^\w\n]|_)*)?"
        rf"(?:{names})[*_\]]*(?:[ \t]*[(\[][^()\[\]\n]{{1,40}}[)\]])?"
        r"(?:[*_]*[ \t]*:[*_]*|[ \t]+[-–—]+(?=[ \t])|[*_]*[ \t]*$)[ \t]*",
        re.IGNORECASE | re.MULTILINE,
    )


FENCE_LINE = re.compile(r"^[ \t]*```.*$", re.MULTILINE)
PLAIN_LABEL = re.compile(r"\s*\w+:\s*")
INPUT = label("input|question|user")
RESPONSE = label(
    r"(?:(?:the|my|initial|original|first|assistant(?:['’]s)?|model(?:['’]s)?|ai|bad|flawed) )*"
    r"(?:response|answer|reply)|assistant"
)
CRITIQUE = label(
    r"(?:(?:the|my|reviewer(?:['’]s)?) )*(?:self-)?(?:critique|criticism)"
    r"(?: (?:of|on) (?:the |this )?(?:response|answer))?"
)
OTHER_CRITIQUE = label("critic|review(?:er)?|feedback|evaluation|assessment|analysis")
CORRECTION = label(
    r"(?:here(?:['’]s| is) )?(?:(?:the|a|my|suggested|proposed) )*(?:correction|corrected|revised"
    r"|improved|rewritten|revision|rewrite|(?:correct|corrected|revised|improved|rewritten|updated"
    r"|better|fixed|amended|aligned|final|new|edited|modified|second)(?:(?: and)? \w+)? "
    r"(?:response|answer|version|reply|text))"
)
REPEATED = "(?:(?:corrected|revised|improved|final) )?(?:response|correction)"
AGAIN = label(REPEATED)
# A completion may go on with the next pair, or review or repeat its correction.
NEXT_PART = label(rf"input|critique|{REPEATED}")
TAGGED = re.compile(r"<(response|critique|correction)>(.*?)</\1>", re.IGNORECASE | re.DOTALL)


def pair_request(task: Task, principles: Principles, question: Row) -> Request:
    """Return the request for the pair of a question. Its id is the question's id.

    The question's row has the response if it is given.
    """
    prompt = pairs_prompt(principles, question["question"], task.llm.chat, question.get("response"))
    return Request(question["id"], prompt)


def pairs_decoding(task: Task) -> Decoding:
    """Return how pairs are sampled. The stop string ends a base LLM's text after the pair."""
    return Decoding(
        max_new_tokens=task.synthesis.pairs.max_new_tokens,
        temperature=task.synthesis.pairs.temperature,
        top_p=task.synthesis.pairs.top_p,
        top_k=task.synthesis.pairs.top_k,
        repetition_penalty=task.synthesis.pairs.repetition_penalty,
        stop=(STOP,),
        seed=task.seed,
    )


def parse_pair(
    completion: Completion, removed: Counter[str], given_response: str | None = None
) -> tuple[dict[str, str], str | None]:
    """Return the fields of a pair (response, critique, aligned_response) and None.

    If the completion has no pair, return no fields and the reason: no_critique, no_correction or
    cut_off (the completion reached its token limit). `removed` counts what is removed around the
    texts. A completion for a given response begins with the critique.
    """
    completion = clean(completion, removed)
    before = before_stop(completion.text, (STOP,))
    text = TAGGED.sub(r"\n\1: \2\n", completion.text if before is None else before)
    if given_response is not None:
        text = with_critique_label(text)
    critique = CRITIQUE.search(text) or OTHER_CRITIQUE.search(text)
    if not critique:
        return {}, "no_critique"
    correction = CORRECTION.search(text, critique.end())
    if not correction:
        return {}, "no_correction"
    if completion.finish == "length" and before is None:
        return {}, "cut_off"
    found = Counter[str]()
    if not all(PLAIN_LABEL.fullmatch(match[0]) for match in (critique, correction)):
        found["markdown"] += 1
    response = given_response
    if response is None:
        response = plain_answer(without_label(text[: critique.start()], found), found)
    fields = {
        "response": response,
        "critique": plain_text(text[critique.end() : correction.start()], found),
        "aligned_response": plain_correction(text[correction.end() :], response, found),
    }
    removed.update(set(found))
    return fields, None


def with_critique_label(text: str) -> str:
    """Return a critique and correction with the first label, which a base LLM's prompt ends with.

    A text that begins with a response again, or that has a label of a critique, stays as it is.
    """
    correction = CORRECTION.search(text)
    end = correction.start() if correction else len(text)
    is_labelled = any(label.search(text, 0, end) for label in (CRITIQUE, OTHER_CRITIQUE))
    return text if is_labelled or RESPONSE.match(text.lstrip()) else f"Critique:{text}"


def without_label(response: str, removed: Counter[str]) -> str:
    """Return a response without its label, and without an introduction before the label."""
    match = RESPONSE.search(response)
    if not match:
        return response
    before = response[: match.start()].strip()
    is_echo = INPUT.match(before) and "response" in match[0].lower()
    if before and not is_echo and not all(map(is_aside, before.split("\n"))):
        return response
    if before:
        removed["introduction"] += 1
    if not PLAIN_LABEL.fullmatch(match[0]):
        removed["markdown"] += 1
    return response[match.end() :]


def is_aside(line: str) -> bool:
    """Return whether a line before the response is no part of it."""
    is_heading = line.lstrip().startswith("#") or line.rstrip().endswith(":")
    return not line.strip(" -*_=#`") or is_heading or is_introduction(line)


def plain_text(text: str, removed: Counter[str]) -> str:
    """Return a text of a pair without what is around it."""
    return without_markdown(without_fence(text.strip(), removed), removed)


def plain_answer(text: str, removed: Counter[str]) -> str:
    """Return a response or correction without an introduction, and without what is around it."""
    return plain_text(without_introduction(text.strip(), removed), removed)


def plain_correction(text: str, response: str, removed: Counter[str]) -> str:
    """Return a correction without what is around it, and without the notes after it."""
    if text.count("```") % 2 and (fences := FENCE_LINE.findall(text)):
        # A fence around the whole completion ends here; it begins before the label.
        text = text[: text.rindex(fences[-1])]
        removed["code_fence"] += 1
    text = (before_stop(text, NEXT_TURNS) or text).lstrip()
    if again := AGAIN.match(text):
        text = text[again.end() :]
    if following := NEXT_PART.search(text, 1):
        text = text[: following.start()]
    text = without_markdown(text, removed)
    return plain_answer(without_notes(text, response, removed), removed)


def pair_row(criterion: str, question: Row, fields: dict[str, str]) -> Row:
    """Return the row of a pair. Its id is the question's id."""
    given: Row = {name: question[name] for name in ("response", "response_by") if name in question}
    return {
        "id": question["id"],
        "criterion": criterion,
        "question": question["question"],
        **given,
        **fields,
    }


def demonstrated_texts(principles: Principles) -> set[str]:
    """Return the normalised responses and corrections of the demonstrations."""
    return {
        normalise(text)
        for item in principles.demonstrations
        for text in (item.response, item.correction)
    }


def read_pair(
    criterion: str,
    demonstrated: Container[str],
    question: Row,
    result: Completion | Failure,
    removed: Counter[str],
) -> Filtered:
    """Return the row of a pair, and the reason to drop it or None.

    A row without a pair has the completion instead, which shows the teacher's text. `demonstrated`
    are the texts of the prompt: a pair that repeats one is no pair for the question.
    """
    if isinstance(result, Failure):
        return pair_row(criterion, question, {}), result.cause
    fields, reason = parse_pair(result, removed, question.get("response"))
    texts = [fields[name] for name in ("response", "aligned_response") if name in fields]
    if any(normalise(text) in demonstrated for text in texts):
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
    """
    principles = load_principles(task.criterion)
    request_for = partial(pair_request, task, principles)
    demonstrated = demonstrated_texts(principles)
    asked = [question for question, reason in questions if reason is None]
    pairs = (
        read_pair(task.criterion, demonstrated, question, result, removed)
        for question, result in generator.complete(
            asked, request_for, pairs_decoding(task), description
        )
    )
    dropped = (
        (pair_row(task.criterion, question, {}), reason) for question, reason in questions if reason
    )
    places = {question["id"]: place for place, (question, _) in enumerate(questions)}
    return merge(pairs, dropped, key=lambda filtered: places[filtered[0]["id"]])
