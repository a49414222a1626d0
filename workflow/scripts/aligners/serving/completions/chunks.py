"""Collects the chunks of a streamed chat completion, and writes them again with corrections."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from aligners.core.reasons import EMPTY_RESPONSE
from aligners.serving.completions.answers import OF_THE_TOKENS, skip_reason, told_by_upstream
from aligners.serving.completions.events import DONE, event, json_event
from aligners.serving.errors import upstream_error
from aligners.serving.exchange import Verdict
from aligners.serving.http.bodies import ChatRequest, Json
from aligners.serving.service import Row

AFFECTS_RESULTS = False

# Of a message, what makes a response one that is not examined.
NOT_EXAMINED = ("tool_calls", "function_call", "audio", "images", "refusal")
# A correction is sent in chunks of so many words.
WORDS = 8
PIECES = re.compile(rf"\s*(?:\S+\s*){{1,{WORDS}}}|\s+")


@dataclass
class StreamedChoice:
    """A response as far as it arrived.

    Attributes:
        pieces: of its text.
        other: what the message has besides, of the fields that matter.
        is_text: whether all pieces are text.
        finish: why it ended; None before it did.
    """

    pieces: list[str] = field(default_factory=list)
    other: Json = field(default_factory=dict)
    is_text: bool = True
    finish: Any = None


@dataclass
class StreamedAnswer:
    """A chat completion as far as it arrived.

    Attributes:
        chunks: the chunks, as they arrived and parsed.
        choices: by index.
        is_done: whether the upstream marked the end.
        usage: the last that it sent.
    """

    chunks: list[tuple[bytes, Json]] = field(default_factory=list)
    choices: dict[int, StreamedChoice] = field(default_factory=dict)
    is_done: bool = False
    usage: Any = None

    def add(self, data: bytes, keep: bool = True) -> Json | None:
        """Add the data of an event; return the chunk, or None at the end of the stream.

        Args:
            data: of the event.
            keep: whether the chunk is needed again.

        Raises:
            ApiError: the data is an error, or no chunk.
        """
        if data.strip() == DONE:
            self.is_done = True
            return None
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            chunk = None
        if isinstance(chunk, dict) and chunk.get("error"):
            raise told_by_upstream(chunk["error"])
        choices = chunk.get("choices") if isinstance(chunk, dict) else None
        if chunk is None or not isinstance(choices, list) or not all(map(is_delta, choices)):
            raise upstream_error(
                "the upstream's stream has an event that is no chunk of a chat completion",
                "upstream_nonsense",
            )
        for choice in choices:
            self.add_choice(choice)
        self.usage = chunk.get("usage") or self.usage
        if keep:
            self.chunks.append((data, chunk))
        return chunk

    def add_choice(self, choice: Json) -> None:
        """Add what a chunk has of a choice."""
        streamed = self.choices.setdefault(choice.get("index") or 0, StreamedChoice())
        delta = choice.get("delta") or {}
        content = delta.get("content")
        if isinstance(content, str):
            streamed.pieces.append(content)
        elif content is not None:
            streamed.is_text = False
        for name in NOT_EXAMINED:
            if delta.get(name):
                streamed.other[name] = True
        streamed.finish = choice.get("finish_reason") or streamed.finish

    def check_end(self, choices: int) -> None:
        """Check that the stream ended at its end.

        Args:
            choices: how many the client asked for.

        Raises:
            ApiError: it did not, or it has no choices.
        """
        ended = [one for one in self.choices.values() if one.finish is not None]
        is_whole = len(ended) == len(self.choices) and len(ended) >= choices
        if not self.is_done and not is_whole:
            raise upstream_error("the upstream closed the stream before its end", "upstream_closed")
        if not self.choices:
            raise upstream_error("the upstream's stream has no choices", "upstream_nonsense")

    def rows(self, chat: ChatRequest) -> list[Row]:
        """Return the responses, with why some are not examined."""
        rows = []
        for index, choice in sorted(self.choices.items()):
            text = "".join(choice.pieces)
            reason = chat.skip or skip_reason(choice.other, choice.finish, choice.is_text)
            if reason is None and not text:
                reason = EMPTY_RESPONSE
            rows.append(Row(chat.question, text, reason, index))
        return rows


def is_delta(choice: Any) -> bool:
    """Return whether a value is a choice of a chunk."""
    return (
        isinstance(choice, dict)
        and isinstance(choice.get("delta"), dict | None)
        and isinstance(choice.get("index"), int | None)
    )


def rewritten(answer: StreamedAnswer, verdicts: Sequence[Verdict], told: Json) -> Iterator[bytes]:
    """Yield the events of a collected stream, with corrections in place of first responses.

    All else stays: ids, roles, thoughts, ends and usage. Chunks without a correction are sent as
    they arrived.

    Args:
        answer: the stream.
        verdicts: of its choices.
        told: the object `aligners` of the last chunk.
    """
    texts = {each.index: each.text or "" for each in verdicts if each.action == "corrected"}
    unsent = dict(texts)
    last = len(answer.chunks) - 1
    for number, (data, chunk) in enumerate(answer.chunks):
        touched = any((choice.get("index") or 0) in texts for choice in chunk["choices"])
        if touched:
            yield from corrected_pieces(chunk, unsent)
            without = without_text(chunk, texts)
            if without is None and number < last:
                continue
            chunk = without or {**chunk, "choices": []}
        if number == last:
            yield json_event({**chunk, "aligners": told})
        else:
            yield json_event(chunk) if touched else event(data)
    yield event(DONE)


def corrected_pieces(chunk: Json, unsent: dict[int, str]) -> Iterator[bytes]:
    """Yield the correction of each choice whose text begins in a chunk, as chunks like it.

    The corrections that were sent are removed from `unsent`.
    """
    for choice in chunk["choices"]:
        index, delta = choice.get("index") or 0, choice.get("delta") or {}
        if index not in unsent or not delta.get("content"):
            continue
        like = {name: value for name, value in chunk.items() if name != "usage"}
        if "role" in delta:
            # The role comes before the text.
            yield json_event(with_delta(like, index, {"role": delta["role"], "content": ""}))
        for piece in PIECES.findall(unsent.pop(index)):
            yield json_event(with_delta(like, index, {"content": piece}))


def with_delta(chunk: Json, index: int, delta: Mapping[str, Any]) -> Json:
    """Return a chunk with one choice."""
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
    return {**chunk, "choices": [choice]}


def without_text(chunk: Json, corrected: Mapping[int, str]) -> Json | None:
    """Return a chunk without the first responses of corrected choices; None if nothing is left."""
    choices = []
    for choice in chunk["choices"]:
        if (choice.get("index") or 0) not in corrected:
            choices.append(choice)
            continue
        delta = choice.get("delta") or {}
        had_text = bool(delta.get("content"))
        # The role of a chunk with text was sent before the correction.
        dropped = {"content", "annotations", "role"} if had_text else {"annotations"}
        rest = {name: value for name, value in delta.items() if name not in dropped}
        if rest or choice.get("finish_reason") is not None:
            kept = {name: value for name, value in choice.items() if name not in OF_THE_TOKENS}
            choices.append({**kept, "delta": rest})
    if not choices and chunk["choices"] and not chunk.get("usage"):
        return None
    return {**chunk, "choices": choices}
