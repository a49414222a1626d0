"""Prompts for pairs: principles, demonstrations, and the question with or without a response.

All criteria share one format, and so do base LLMs, which continue a text, and chat LLMs, which get
messages. The demonstrations have the format that the parser reads (`synthesis.pair_replies`):
labels, or JSON if the endpoint writes structured output.
"""

import json
from collections.abc import Sequence

from aligners.configuration.criteria import numbered
from aligners.configuration.kinds.criteria import Demonstration, Principles
from aligners.configuration.languages import ENGLISH, language_names
from aligners.core.completions import Prompt

# What a chat LLM is told, to which the demonstrations belong as well; and if responses are given.
FORM = (
    'Write only three parts: "Response:" with the response to the last input, "Critique:" and '
    '"Correction:".'
)
FORM_OF_CORRECTION = (
    'Write only two parts: "Critique:" with the critique of the last response, and "Correction:".'
)
FORM_IN_JSON = (
    'Write only a JSON object with three fields: "response" with the response to the last input, '
    '"critique" and "correction".'
)
FORM_OF_CORRECTION_IN_JSON = (
    'Write only a JSON object with two fields: "critique" with the critique of the last response, '
    'and "correction".'
)


def json_fields(given: bool) -> tuple[str, ...]:
    """Return the fields of a pair in JSON; `given` tells whether it has its response already."""
    return ("critique", "correction") if given else ("response", "critique", "correction")


def form(given: bool, in_json: bool) -> str:
    """Return the sentence that tells a chat LLM which form is wanted."""
    if in_json:
        return FORM_OF_CORRECTION_IN_JSON if given else FORM_IN_JSON
    return FORM_OF_CORRECTION if given else FORM


def with_labels(languages: Sequence[str]) -> str:
    """Return the sentence about the language of the parts; none for English alone.

    The parser reads labels in English and German alone.
    """
    if tuple(languages) == ENGLISH:
        return ""
    return f" The parts are in {language_names(languages)}; their labels stay in English."


def instructions(principles: Principles) -> str:
    """Return the introduction and the numbered principles."""
    return f"{principles.introduction}\n\n{numbered(principles)}"


def demonstrated_correction(demonstration: Demonstration) -> str:
    """Return a demonstration's critique and correction in the format of a completion."""
    return f"Critique: {demonstration.critique}\nCorrection: {demonstration.correction}"


def demonstrated_pair(demonstration: Demonstration) -> str:
    """Return a demonstration's pair in the format of a completion."""
    return f"Response: {demonstration.response}\n{demonstrated_correction(demonstration)}"


def demonstrated_json(demonstration: Demonstration, given: bool) -> str:
    """Return a demonstration's pair as JSON, without its response if that is given."""
    fields = {name: getattr(demonstration, name) for name in json_fields(given)}
    return json.dumps(fields, ensure_ascii=False)


def demonstrated_completion(demonstration: Demonstration, given: bool, in_json: bool) -> str:
    """Return what a chat LLM writes for a demonstration."""
    if in_json:
        return demonstrated_json(demonstration, given)
    return demonstrated_correction(demonstration) if given else demonstrated_pair(demonstration)


def given_text(question: str, response: str | None) -> str:
    """Return the question, with the response if it is given."""
    return f"Input: {question}" + ("" if response is None else f"\nResponse: {response}")


def pairs_prompt(
    principles: Principles,
    question: str,
    chat: bool,
    response: str | None = None,
    in_json: bool = False,
    languages: Sequence[str] = ENGLISH,
) -> Prompt:
    """Return a prompt for a response to the question, its critique and its correction.

    If the response is given, the prompt asks for its critique and its correction. Only the prompt
    of a chat LLM can ask for JSON.
    """
    given = response is not None
    last = given_text(question, response)
    if not chat:
        examples = [
            f"Input: {item.input}\n{demonstrated_pair(item)}" for item in principles.demonstrations
        ]
        last += "\nCritique:" if given else "\nResponse:"
        return "\n\n".join([instructions(principles), *examples, last])
    system = f"{instructions(principles)}\n\n{form(given, in_json)}{with_labels(languages)}"
    messages = [{"role": "system", "content": system}]
    for item in principles.demonstrations:
        shown = given_text(item.input, item.response if given else None)
        written = demonstrated_completion(item, given, in_json)
        messages.append({"role": "user", "content": shown})
        messages.append({"role": "assistant", "content": written})
    return [*messages, {"role": "user", "content": last}]
