"""Reads the body of a server's reply to a request for a completion."""

import json
from typing import Any

from aligners.core.completions import CHARACTERS_PER_TOKEN, Decoding, Request, before_stop
from aligners.llms.engines.faults import Faulty, Refused


def read_reply(content: bytes, chat: bool, decoding: Decoding, request: Request) -> dict[str, Any]:
    """Return the fields of a `Completion` that a reply's body gives.

    Tokens are estimated by characters where the server does not count them.

    Raises:
        Faulty: the body does not follow the API.
        Refused: a filter of the server removed the text.
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
        raise Faulty("bad_reply", "the reply holds no completion") from None
    if finish == "content_filter":
        raise Refused("refused", "the server's filter held the completion back")
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
    """Return the log-probabilities of a chat completion's likeliest first tokens; None without."""
    try:
        top = choice["logprobs"]["content"][0]["top_logprobs"]
        return {str(one["token"]): float(one["logprob"]) for one in top}
    except (LookupError, TypeError, ValueError):
        return None
