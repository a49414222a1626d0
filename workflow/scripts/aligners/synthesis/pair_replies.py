"""Pairs in the completions of a teacher: reads their parts, and removes what is around them.

The parts have labels, as LLMs write them, or are the fields of an object in JSON.
"""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any

from aligners.core.completions import Completion, before_stop
from aligners.llms.cleaning import (
    decode_json,
    encodable,
    without_fence,
    without_introduction,
    without_markdown,
    without_notes,
    without_wrapping,
)
from aligners.llms.remarks import is_introduction

STOP = "\n\nInput:"
# After a pair, a base LLM may also go on with the turns of a chat.
NEXT_TURNS = ("\n\nHuman:", "\n\nUser:")


def label(names: str) -> re.Pattern[str]:
    """Return a pattern of a label at the start of a line, as LLMs write it.

    For instance "Critique:", "**Critique:**", "### Critique", "2. Critique -", "critique (fair):".
    LLMs that write German also translate the labels.
    """
    return re.compile(
        r"^(?:[^\w\n]|_)*(?:\d+[.)](?:[^\w\n]|_)*)?"
        rf"(?:{names})[*_\]]*(?:[ \t]*[(\[][^()\[\]\n]{{1,40}}[)\]])?"
        r"(?:[*_]*[ \t]*:[*_]*|[ \t]+[-–—]+(?=[ \t])|[*_]*[ \t]*$)[ \t]*",
        re.IGNORECASE | re.MULTILINE,
    )


FENCE_LINE = re.compile(r"^[ \t]*```.*$", re.MULTILINE)
PLAIN_LABEL = re.compile(r"\s*\w+:\s*")
INPUT = label("input|question|user|eingabe|frage")
RESPONSE = label(
    r"(?:(?:the|my|initial|original|first|assistant(?:['’]s)?|model(?:['’]s)?|ai|bad|flawed) )*"
    r"(?:response|answer|reply)|assistant"
    r"|(?:(?:die|erste|ursprüngliche|fehlerhafte) )*antwort"
)
CRITIQUE = label(
    r"(?:(?:the|my|reviewer(?:['’]s)?) )*(?:self-)?(?:critique|criticism)"
    r"(?: (?:of|on) (?:the |this )?(?:response|answer))?|kritik(?: (?:der|an der) antwort)?"
)
OTHER_CRITIQUE = label("critic|review(?:er)?|feedback|evaluation|assessment|analysis")
CORRECTION = label(
    r"(?:here(?:['’]s| is) )?(?:(?:the|a|my|suggested|proposed) )*(?:correction|corrected|revised"
    r"|improved|rewritten|revision|rewrite|(?:correct|corrected|revised|improved|rewritten|updated"
    r"|better|fixed|amended|aligned|final|new|edited|modified|second)(?:(?: and)? \w+)? "
    r"(?:response|answer|version|reply|text))|korrektur"
    r"|(?:die )?(?:korrigierte|verbesserte|überarbeitete|bessere|neue) (?:antwort|fassung|version)"
)
REPEATED = "(?:(?:corrected|revised|improved|final) )?(?:response|correction)"
AGAIN = label(REPEATED)
# The question of the next pair. "Question: Why?\nAnswer: So." can be the answer itself.
NEXT_QUESTION = re.compile(
    r"\n[ \t]*[*_#]*(?:question|user|human)\b[*_]*:[^\n]*\s*\Z", re.IGNORECASE
)
# A completion may go on with the next pair, or review or repeat its correction.
NEXT_PART = label(rf"input|critique|{REPEATED}|eingabe|kritik|korrigierte antwort|korrektur")
# The names of parts in JSON are written as labels: "corrected_response", "correctedResponse".
BETWEEN_WORDS = re.compile(r"_|(?<=[a-z])(?=[A-Z])")
OPEN_JSON = re.compile(r"^[ \t]*\{\s*(?:\"|\Z)", re.MULTILINE)
TAGGED = re.compile(r"<([a-z]+(?:[_-][a-z]+)*)>(.*?)</\1>", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True)
class Parts:
    """The parts of a pair as a completion has them; None for those that it lacks."""

    response: str | None
    critique: str | None
    correction: str | None

    def reason(self) -> str | None:
        """Return which part is missing, or None."""
        if self.critique is None:
            return "no_critique"
        return "no_correction" if self.correction is None else None


def parse_pair(
    completion: Completion, removed: Counter[str], given_response: str | None = None
) -> tuple[dict[str, str], str | None]:
    """Return the fields of a pair (response, critique, aligned_response) and None.

    If the completion has no pair, return no fields and the reason: no_critique, no_correction or
    cut_off (the completion reached its token limit). `removed` counts what is removed around the
    texts. The parts have labels, or are the fields of an object in JSON. A completion for a given
    response begins with the critique.
    """
    completion = without_wrapping(completion, removed)
    found = Counter[str]()
    parts = json_parts(completion.text, found)
    if parts is not None:
        reason = parts.reason()
    elif completion.finish == "length" and is_open_json(completion.text):
        return {}, "cut_off"
    else:
        parts, reason = labelled_parts(completion, given_response is not None, found)
    if reason or parts.critique is None or parts.correction is None:
        return {}, reason
    response = given_response
    if response is None:
        response = plain_answer(parts.response or "", found)
    fields = {
        "response": response,
        "critique": plain_text(parts.critique, found),
        "aligned_response": plain_correction(parts.correction, response, found),
    }
    removed.update(set(found))
    return fields, None


def json_parts(text: str, removed: Counter[str]) -> Parts | None:
    """Return the parts of the first object in JSON that has a critique or a correction, or None."""
    start = text.find("{")
    while start >= 0:
        if decoded := decode_json(text, start):
            value, end = decoded
            inner = list(value.values())
            parts = named_parts(
                inner[0] if len(inner) == 1 and isinstance(inner[0], dict) else value
            )
            if parts.critique is not None or parts.correction is not None:
                count_around(text[:start], text[end:], removed)
                return parts
        start = text.find("{", start + 1)
    return None


def is_open_json(text: str) -> bool:
    """Return whether a text without labels has an object in JSON that may lack its end."""
    return bool(OPEN_JSON.search(text)) and not CRITIQUE.search(text)


def named_parts(value: dict[str, Any]) -> Parts:
    """Return the parts in the fields of an object; a field can have any form of a label."""
    labels = {"response": RESPONSE, "critique": CRITIQUE, "correction": CORRECTION}
    parts: dict[str, str | None] = dict.fromkeys(labels)
    for name, text in value.items():
        as_label = f"{BETWEEN_WORDS.sub(' ', name)}:"
        for part in ("correction", "critique", "response"):
            if labels[part].fullmatch(as_label) and parts[part] is None and isinstance(text, str):
                parts[part] = encodable(text)
                break
    return Parts(**parts)


def count_around(before: str, after: str, removed: Counter[str]) -> None:
    """Count what is around JSON: an introduction, a code fence, and what follows."""
    if before.count("```") + after.count("```"):
        removed["code_fence"] += 1
    if FENCE_LINE.sub("", before).strip(" \n["):
        removed["introduction"] += 1
    if FENCE_LINE.sub("", after).strip(" \n],"):
        removed["continuation"] += 1


def labelled_parts(
    completion: Completion, given: bool, removed: Counter[str]
) -> tuple[Parts, str | None]:
    """Return the parts of a pair with labels, and the reason if one is missing or cut off."""
    before = before_stop(completion.text, (STOP,))
    text = TAGGED.sub(labelled, completion.text if before is None else before)
    if before is not None:
        removed["continuation"] += 1
    if given:
        text = with_critique_label(text)
    critique = CRITIQUE.search(text) or OTHER_CRITIQUE.search(text)
    if not critique:
        return Parts(None, None, None), "no_critique"
    correction = CORRECTION.search(text, critique.end())
    if not correction:
        return Parts(None, None, None), "no_correction"
    if completion.finish == "length" and before is None:
        return Parts(None, None, None), "cut_off"
    if not all(PLAIN_LABEL.fullmatch(match[0]) for match in (critique, correction)):
        removed["markdown"] += 1
    response = text[: critique.start()]
    if not given:
        response = without_label(response, removed)
    elif response.strip():
        removed["introduction"] += 1
    return Parts(
        response,
        text[critique.end() : correction.start()],
        without_next_part(text[correction.end() :], removed),
    ), None


def labelled(tagged: re.Match[str]) -> str:
    """Return a text in tags with a label, if their name is the label of a part."""
    name = f"{re.sub('[_-]', ' ', tagged[1])}:"
    is_label = any(part.fullmatch(name) for part in (RESPONSE, CRITIQUE, CORRECTION))
    return f"\n{name} {tagged[2]}\n" if is_label else tagged[0]


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


def plain_answer(text: str, removed: Counter[str], response: str = "") -> str:
    """Return a response or correction without an introduction, and without what is around it.

    A correction keeps an introduction that its `response` has.
    """
    return plain_text(without_introduction(text.strip(), removed, response), removed)


def without_next_part(text: str, removed: Counter[str]) -> str:
    """Return a correction without what a teacher writes after it.

    That is the next turns or the next pair, and a review or a copy of the correction.
    """
    if text.count("```") % 2 and (fences := FENCE_LINE.findall(text)):
        # A fence around the whole completion ends here; it begins before the label.
        text = text[: text.rindex(fences[-1])]
        removed["code_fence"] += 1
    correction = before_stop(text, NEXT_TURNS)
    correction = (text if correction is None else correction).lstrip()
    if again := AGAIN.match(correction):
        correction = correction[again.end() :]
    if following := NEXT_PART.search(correction, 1):
        correction = NEXT_QUESTION.sub("", correction[: following.start()])
    if not text.rstrip().endswith(correction.rstrip()):
        removed["continuation"] += 1
    return correction


def plain_correction(text: str, response: str, removed: Counter[str]) -> str:
    """Return a correction without what is around it, and without the notes after it."""
    text = without_markdown(text, removed)
    return plain_answer(without_notes(text, response, removed), removed, response)
