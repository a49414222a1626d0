"""What an LLM is asked and what comes back: requests, completions and failures.

An engine is one function: requests and decoding in, completions out, in any order. It takes the
requests as it goes, so that a million of them need no more memory than a thousand.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Message = dict[str, str]
Prompt = str | list[Message]
Finish = Literal["stop", "length"]


# For estimates, where nobody has counted.
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Request:
    """A prompt with the id of the row it is for: text, or messages for the chat template."""

    id: str
    prompt: Prompt


@dataclass(frozen=True)
class Decoding:
    """How completions are drawn. Temperature 0 is greedy; `stop` strings are not part of the text.

    `max_new_tokens` counts tokens of the LLM's own tokenizer. With `top_logprobs`, a completion
    also tells how likely that many tokens were to be its first; only servers' chat LLMs do.
    """

    max_new_tokens: int
    temperature: float = 0.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    top_logprobs: int = 0


@dataclass(frozen=True)
class Completion:
    """The text an LLM wrote for a request, and whether it ended by itself or at the limit.

    Attributes:
        tokens_in: tokens of the prompt.
        tokens_out: tokens of the text.
        seconds: from the request to its completion, waiting and repeated attempts included.
        attempts: how often the LLM was asked until it answered.
        served_model: the model that a server says has answered; None if it says nothing.
        first_token_logprobs: of the likeliest first tokens, where the decoding asks for them.
    """

    id: str
    text: str
    finish: Finish
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    attempts: int = 1
    served_model: str | None = None
    first_token_logprobs: dict[str, float] | None = None


Cause = Literal["timeout", "connection", "server_error", "bad_reply", "refused", "prompt_too_long"]


@dataclass(frozen=True)
class Failure:
    """A request that has no completion in the end, and why."""

    id: str
    cause: Cause
    message: str


Engine = Callable[[Iterable[Request], Decoding], Iterator[Completion | Failure]]


def before_stop(text: str, stop: Iterable[str]) -> str | None:
    """Return the part of a text before the first of the stop strings, or None if there is none."""
    found = [text.index(string) for string in stop if string in text]
    return text[: min(found)] if found else None
