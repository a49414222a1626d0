"""Parses the body of a server's reply to a completion request."""

import json
import logging
from typing import Any

from aligners.core.completions import CHARACTERS_PER_TOKEN, Decoding, Request, before_stop
from aligners.core.formats import printable
from aligners.llms.engines.errors import AttemptError, ErrorReply, RejectedError

logger = logging.getLogger(__name__)

# What Python raises for a body that is no JSON, or JSON of another shape: with other types, with
# numbers that are too large, or with too many brackets.
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError)
# Values of finish_reason with which a provider withholds a text. Gemini has names of its own.
FILTERED = (
    "content_filter",
    "refusal",
    "sensitive",
    "safety",
    "recitation",
    "blocklist",
    "prohibited_content",
    "spii",
)
# More tokens than this are an error of the server: no text has so many.
MOST_TOKENS = 1_000_000_000
# Servers round: a log-probability can be a little above 0.
HIGHEST_LOGPROB = 0.001


def read_reply(content: bytes, chat: bool, decoding: Decoding, request: Request) -> dict[str, Any]:
    """Return the fields of a `Completion` that are in the body of a reply.

    If the server does not count tokens, they are estimated from the number of characters.

    Raises:
        AttemptError: the body does not follow the API.
        ErrorReply: the body reports an error.
        RejectedError: the model or a filter of the server withheld the text.
    """
    try:
        reply = json.loads(content)
        if error := reply.get("error"):
            raise ErrorReply(error)
        choice = reply["choices"][0]
        if error := choice.get("error"):
            raise ErrorReply(error)
        text, thoughts = completion_text(choice, chat), completion_thoughts(choice)
        finish = choice.get("finish_reason")
        served_model = reply.get("model")
        logprobs = first_token_logprobs(choice) if decoding.top_logprobs else None
        usage = reply.get("usage") or {}
        tokens_in = count_tokens(usage.get("prompt_tokens"), int(request.estimated_tokens))
        tokens_out = count_tokens(usage.get("completion_tokens"), len(text) // CHARACTERS_PER_TOKEN)
    except MALFORMED:
        raise AttemptError("bad_reply", "the reply has no completion") from None
    stored = well_formed(text)
    if stored != text:
        logger.warning(
            "%s: the completion has half a surrogate pair, which no file can hold. It is replaced "
            "by U+FFFD, the replacement character",
            request.id,
        )
    before = before_stop(stored, decoding.stop)
    return {
        "text": stored if before is None else before,
        "finish": "length" if finish == "length" and before is None else "stop",
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "served_model": printable(served_model) if isinstance(served_model, str) else None,
        "first_token_logprobs": logprobs,
        "thoughts": thoughts,
    }


def completion_text(choice: dict[str, Any], chat: bool) -> str:
    """Return the text of a choice, which may be empty.

    Raises:
        RejectedError: the model or a filter of the server withheld the text.
        ValueError: there is neither a text nor a reason why the completion ended.
        TypeError: the text or the reason is not a string.
    """
    # A filter of Azure removes the content, and others the whole message.
    message = (choice.get("message") or {}) if chat else choice
    text, finish = message.get("content" if chat else "text"), choice.get("finish_reason")
    if not isinstance(finish, str | None) or not isinstance(text, str | None):
        raise TypeError
    # Gemini appends its own reason: "content_filter: SAFETY".
    if finish and finish.lower().partition(":")[0] in FILTERED:
        raise RejectedError("refused", f"the server withheld the completion ({finish})")
    if text:
        return text
    if refusal := message.get("refusal"):
        raise RejectedError("refused", f"the model refused: {refusal}")
    if message.get("tool_calls") or message.get("function_call"):
        raise RejectedError("refused", "the model called a tool and wrote no text")
    if finish is None:
        raise ValueError
    return ""


def completion_thoughts(choice: dict[str, Any]) -> str | None:
    """Return the thoughts that a server returns apart from the text, or None.

    Servers name them `reasoning_content` or `reasoning`.
    """
    message = choice.get("message") or {}
    for name in ("reasoning_content", "reasoning"):
        if isinstance(thoughts := message.get(name), str) and thoughts.strip():
            return well_formed(thoughts)
    return None


def count_tokens(reported: Any, estimate: int) -> int:
    """Return the number of tokens that a server reports, or the estimate if it reports none.

    Raises:
        TypeError: it is not a number.
        ValueError: no text has this number of tokens.
    """
    if reported is None:
        return estimate
    if isinstance(reported, bool) or not 0 <= reported <= MOST_TOKENS or reported % 1:
        raise ValueError
    return int(reported)


def first_token_logprobs(choice: dict[str, Any]) -> dict[str, float] | None:
    """Return the log-probabilities of the most likely first tokens, or None if there are none.

    Raises:
        ValueError: one of them is not a log-probability. Other types raise other errors.
    """
    tokens = (choice.get("logprobs") or {}).get("content")
    top = tokens[0].get("top_logprobs") if tokens else None
    if not top:
        return None
    if not all(entry["logprob"] <= HIGHEST_LOGPROB for entry in top):  # also for NaN
        raise ValueError
    return {well_formed(entry["token"]): float(entry["logprob"]) for entry in top}


def well_formed(text: str) -> str:
    """Return a text with U+FFFD in place of each half of a surrogate pair.

    JSON can hold half a pair (`"\\ud83d"`), for example if a text is cut inside an emoji. Files in
    UTF-8 cannot.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
