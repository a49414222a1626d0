"""Reads the choices of a whole chat completion, and puts corrections into them."""

import json
from collections.abc import Sequence
from typing import Any

from aligners.core.reasons import EMPTY_RESPONSE
from aligners.serving.errors import ApiError, upstream_error
from aligners.serving.exchange import Verdict
from aligners.serving.http.bodies import ChatRequest, Json
from aligners.serving.reasons import CONTENT_FILTER, CUT_OFF, NOT_TEXT, REFUSAL, TOOL_CALLS
from aligners.serving.service import Row

AFFECTS_RESULTS = False

# Why a response ended, if not at its end. `error` is OpenRouter's, and the one after it DeepSeek's.
FINISHED_EARLY = {
    **dict.fromkeys(("length", "max_tokens", "error", "insufficient_system_resource"), CUT_OFF),
    "abort": CUT_OFF,
    "content_filter": CONTENT_FILTER,
    **dict.fromkeys(("tool_calls", "function_call"), TOOL_CALLS),
}
# Fields of a choice about the tokens of its text; the second is vLLM's.
OF_THE_TOKENS = ("logprobs", "token_ids")
# Types of parts in the content of a response: the text, and what a model thought before it.
TEXT, THOUGHTS = "text", ("thinking", "reasoning")


def parse_answer(content: bytes) -> Json:
    """Return a chat completion of the upstream.

    Raises:
        ApiError: it is none, or an error with the status of a success.
    """
    try:
        answer = json.loads(content)
    except (ValueError, RecursionError):
        raise upstream_error("the upstream's answer is not JSON", "upstream_nonsense") from None
    if isinstance(answer, dict) and not answer.get("choices") and answer.get("error"):
        raise told_by_upstream(answer["error"])
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(choices, list) or not choices or not all(map(is_choice, choices)):
        raise upstream_error(
            "the upstream's answer has no choices with a message", "upstream_nonsense"
        )
    return answer


def is_choice(choice: Any) -> bool:
    """Return whether a value is a choice of a chat completion."""
    return isinstance(choice, dict) and isinstance(choice.get("message"), dict)


def told_by_upstream(error: Any) -> ApiError:
    """Return an error that the upstream sent with the status of a success, or in a stream."""
    if not isinstance(error, dict):
        return upstream_error(f"the upstream failed: {str(error)[:300]}", "upstream_failed")
    code = error.get("code")
    status = code if isinstance(code, int) and 400 <= code < 600 else 502
    told = upstream_error(str(error.get("message")), "upstream_failed", status)
    told.error = error
    return told


def rows_of(answer: Json, chat: ChatRequest) -> list[Row]:
    """Return the responses of a chat completion, with why some are not examined."""
    return [
        row_of(number, choice, chat.question, chat.skip)
        for number, choice in enumerate(answer["choices"])
    ]


def row_of(number: int, choice: Json, question: str, skip: str | None) -> Row:
    """Return the response of a choice (`rows_of`)."""
    message = choice["message"]
    text, is_text = text_of(message.get("content"))
    reason = skip or skip_reason(message, choice.get("finish_reason"), is_text)
    if reason is None and not text:
        reason = EMPTY_RESPONSE
    index = choice.get("index")
    return Row(question, text, reason, index if isinstance(index, int) else number)


def skip_reason(message: Json, finish: Any, is_text: bool) -> str | None:
    """Return why a response is not examined; None if it is.

    Args:
        message: the message, or what the chunks of a stream have of it.
        finish: why the response ended.
        is_text: whether its content is text.
    """
    if message.get("tool_calls") or message.get("function_call"):
        return TOOL_CALLS
    if message.get("audio") or message.get("images") or not is_text:
        return NOT_TEXT
    if message.get("refusal"):
        return REFUSAL
    return FINISHED_EARLY.get(finish) if isinstance(finish, str) else None


def text_of(content: Any) -> tuple[str | None, bool]:
    """Return the text of a message's content, and whether it has nothing but text."""
    if content is None or isinstance(content, str):
        return content, True
    if not isinstance(content, list):
        return None, False
    texts = [part.get("text") for part in content if is_part(part, TEXT)]
    is_text = all(is_part(part, TEXT, *THOUGHTS) for part in content)
    return "".join(text for text in texts if isinstance(text, str)), is_text


def is_part(part: Any, *kinds: str) -> bool:
    """Return whether a value is a part of one of these types."""
    return isinstance(part, dict) and part.get("type") in kinds


def correct_answer(answer: Json, verdicts: Sequence[Verdict]) -> None:
    """Put the corrections into the choices of a chat completion."""
    for choice, verdict in zip(answer["choices"], verdicts, strict=True):
        if verdict.action != "corrected":
            continue
        message = choice["message"]
        message["content"] = with_text(message["content"], verdict.text or "")
        # These belong to the tokens and places of the first response.
        for name in OF_THE_TOKENS:
            if choice.get(name) is not None:
                choice[name] = None
        if message.get("annotations"):
            message["annotations"] = []


def with_text(content: Any, text: str) -> Any:
    """Return a message's content with another text; its other parts stay."""
    if isinstance(content, str):
        return text
    first = next(number for number, part in enumerate(content) if part["type"] == TEXT)
    return [
        {**part, "text": text} if number == first else part
        for number, part in enumerate(content)
        if number == first or part["type"] != TEXT
    ]
