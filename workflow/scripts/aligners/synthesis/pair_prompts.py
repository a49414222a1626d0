"""Prompts for pairs: principles, demonstrations, and the question with or without a response.

All criteria share one format, and so do base LLMs, which continue a text, and chat LLMs, which get
messages. The demonstrations have the format that the parser reads (`aligners.synthesis.pairs`).
"""

from aligners.configuration.criteria import numbered
from aligners.configuration.kinds.criteria import Demonstration, Principles
from aligners.core.completions import Prompt

# What a chat LLM is told, to which the demonstrations belong as well; and if responses are given.
FORM = (
    'Write only three parts: "Response:" with the response to the last input, "Critique:" and '
    '"Correction:".'
)
FORM_OF_CORRECTION = (
    'Write only two parts: "Critique:" with the critique of the last response, and "Correction:".'
)


def instructions(principles: Principles) -> str:
    """Return the introduction and the numbered principles."""
    return f"{principles.introduction}\n\n{numbered(principles)}"


def demonstrated_correction(demonstration: Demonstration) -> str:
    """Return a demonstration's critique and correction in the format of a completion."""
    return f"Critique: {demonstration.critique}\nCorrection: {demonstration.correction}"


def demonstrated_pair(demonstration: Demonstration) -> str:
    """Return a demonstration's pair in the format of a completion."""
    return f"Response: {demonstration.response}\n{demonstrated_correction(demonstration)}"


def given_text(question: str, response: str | None) -> str:
    """Return the question, with the response if it is given."""
    return f"Input: {question}" + ("" if response is None else f"\nResponse: {response}")


def pairs_prompt(
    principles: Principles, question: str, chat: bool, response: str | None = None
) -> Prompt:
    """Return a prompt for a response to the question, its critique and its correction.

    If the response is given, the prompt asks for its critique and its correction.
    """
    given = response is not None
    last = given_text(question, response)
    if not chat:
        examples = [
            f"Input: {item.input}\n{demonstrated_pair(item)}" for item in principles.demonstrations
        ]
        last += "\nCritique:" if given else "\nResponse:"
        return "\n\n".join([instructions(principles), *examples, last])
    form = FORM_OF_CORRECTION if given else FORM
    messages = [{"role": "system", "content": f"{instructions(principles)}\n\n{form}"}]
    for item in principles.demonstrations:
        shown = given_text(item.input, item.response if given else None)
        written = demonstrated_correction(item) if given else demonstrated_pair(item)
        messages.append({"role": "user", "content": shown})
        messages.append({"role": "assistant", "content": written})
    return [*messages, {"role": "user", "content": last}]
