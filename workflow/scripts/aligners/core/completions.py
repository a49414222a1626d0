"""Requests to an LLM, and what it returns: completions and failures.

An engine is a function. It takes requests and decoding settings, and yields completions in any
order. It reads the requests one by one, so that a million need no more memory than a thousand.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

Message = dict[str, str]
Prompt = str | list[Message]
Finish = Literal["stop", "length"]

# For estimates, if the tokens have not been counted.
CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True)
class Request:
    """A prompt of a row.

    Attributes:
        id: of the row.
        prompt: a text, or messages for the chat template.
        token_ids: the prompt of an aligner, which then has no text.
        max_new_tokens: a lower limit than that of the decoding, if the context has less room.
    """

    id: str
    prompt: Prompt
    token_ids: tuple[int, ...] = ()
    max_new_tokens: int | None = None

    @property
    def estimated_tokens(self) -> float:
        """The number of tokens of the prompt: of token ids exactly, of a text by its length."""
        return len(self.token_ids) or len(str(self.prompt)) / CHARACTERS_PER_TOKEN

    def limit(self, decoding: "Decoding") -> int:
        """Return the maximum number of new tokens under a decoding."""
        return min(decoding.max_new_tokens, self.max_new_tokens or decoding.max_new_tokens)


@dataclass(frozen=True)
class Decoding:
    """How completions are generated. Temperature 0 is greedy.

    Attributes:
        max_new_tokens: counted by the LLM's own tokenizer.
        stop: strings that end a completion; they are not part of its text.
        top_p, top_k: tokens are drawn only from the likeliest ones, with this probability
            together, or this many; None for all tokens.
        top_logprobs: for how many of the likeliest first tokens a completion has the log
            probabilities. Only chat LLMs on a server support this.
        json_fields: the completion is a JSON object with these fields, which are strings; empty if
            it is a text. Only chat LLMs on a server support this.
    """

    max_new_tokens: int
    temperature: float = 0.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    top_logprobs: int = 0
    top_p: float | None = None
    top_k: int | None = None
    json_fields: tuple[str, ...] = ()


@dataclass(frozen=True)
class Completion:
    """The text that an LLM generated for a request, and why it ended.

    Attributes:
        finish: "stop" at an end token or stop string, "length" at the limit.
        tokens_in: tokens of the prompt.
        tokens_out: tokens of the text.
        seconds: from the request to its completion, including waiting and repeated attempts.
        attempts: number of attempts until the LLM returned a completion.
        served_model: the model that the server names in its reply; None if it names none.
        first_token_logprobs: log probabilities by token, if `top_logprobs` is set.
        thoughts: what a reasoning model thought, if the server returns it apart from the text.
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
    thoughts: str | None = None


Cause = Literal["timeout", "connection", "server_error", "bad_reply", "refused", "prompt_too_long"]


@dataclass(frozen=True)
class Failure:
    """A request without a completion, and why it failed."""

    id: str
    cause: Cause
    message: str


Engine = Callable[[Iterable[Request], Decoding], Iterator[Completion | Failure]]


def before_stop(text: str, stop: Iterable[str]) -> str | None:
    """Return the text before the first stop string, or None if it contains no stop string."""
    found = [text.index(string) for string in stop if string in text]
    return text[: min(found)] if found else None
