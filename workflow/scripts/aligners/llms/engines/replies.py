"""Parses the body of a server's reply to a completion request."""

import json
from typing import Any

from aligners.core.completions import CHARACTERS_PER_TOKEN, Decoding, Request, before_stop
from aligners.llms.engines.errors import AttemptError, RejectedError


def read_reply(content: bytes, chat: bool, decoding: Decoding, request: Request) -> dict[str, Any]:
    """Return the fields of a `Completion` that are in the body of a reply.

    If the server does not count tokens, they are estimated from the number of characters.

    Raises:
        AttemptError: the body does not follow the API.
        RejectedError: a filter of the server removed the text.
    """
    try:
        reply = json.loads(content)
        choice = reply["choices"][0]
        text = (choice["message"]["content"] if chat else choice["text"]) or ""
        finish = choice.get("finish_reason")
        logprobs = first_token_logprobs(choice) if decoding.top_logprobs else None
        served_model = reply.get("model")
        usage = reply.get("usage") or {}
        if not isinstance(text, str):
            raise TypeError
        tokens_in = int(usage.get("prompt_tokens", len(str(request.prompt)) / CHARACTERS_PER_TOKEN))
        tokens_out = int(usage.get("completion_tokens", len(text) / CHARACTERS_PER_TOKEN))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise AttemptError("bad_reply", "the reply has no completion") from None
    if finish == "content_filter":
        raise RejectedError("refused", "a filter of the server removed the completion")
    before = before_stop(text, decoding.stop)
    return {
        "text": text if before is None else before,
        "finish": "length" if finish == "length" and before is None else "stop",
        "tokens_in": tokens_in,
        "tokens_out": tokens_out,
        "served_model": served_model if isinstance(served_model, str) else None,
        "first_token_logprobs": logprobs,
    }


def first_token_logprobs(choice: dict[str, Any]) -> dict[str, float] | None:
    """Return the log-probabilities of the most likely first tokens, or None if there are none."""
    try:
        top = choice["logprobs"]["content"][0]["top_logprobs"]
        return {str(entry["token"]): float(entry["logprob"]) for entry in top}
    except (LookupError, TypeError, ValueError):
        return None
