"""The inputs of an inspector: a question and a response, or parts of a long response."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from aligners.models.special_tokens import as_plain_text, plain_ids

Inputs = dict[str, list[int]]


@dataclass(frozen=True)
class EncodedPair:
    """The model's inputs for a question and a response, and whether a text was truncated."""

    inputs: Inputs
    truncated: bool


def encode_pairs(
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    responses: Sequence[str],
    max_tokens: int,
) -> list[EncodedPair]:
    """Encode questions and responses with the tokenizer's own separator between them.

    If a pair has more than `max_tokens` tokens, its longer text is truncated.
    """
    encoded = []
    for question, response, inputs in whole_pairs(tokenizer, questions, responses):
        truncated = len(inputs["input_ids"]) > max_tokens
        if truncated:
            inputs = tokenizer(
                question,
                response,
                split_special_tokens=True,
                truncation="longest_first",
                max_length=max_tokens,
            ).data
        encoded.append(EncodedPair(inputs, truncated))
    return encoded


def encode_windows(
    tokenizer: PreTrainedTokenizerBase,
    questions: Sequence[str],
    responses: Sequence[str],
    max_tokens: int,
) -> list[list[Inputs]]:
    """Encode each question with its whole response, or with windows of a response that is too long.

    Each window begins in the middle of the window before. The list of a pair is empty if it is too
    long and the question takes more than half of `max_tokens`.
    """
    return [
        [inputs]
        if len(inputs["input_ids"]) <= max_tokens
        else windows(tokenizer, question, response, max_tokens)
        for question, response, inputs in whole_pairs(tokenizer, questions, responses)
    ]


def windows(
    tokenizer: PreTrainedTokenizerBase, question: str, response: str, max_tokens: int
) -> list[Inputs]:
    """Return the windows of a pair of plain texts that is too long (`encode_windows`)."""
    question_tokens = len(plain_ids(tokenizer, question))
    if question_tokens > max_tokens // 2:
        return []
    room = max_tokens - question_tokens - tokenizer.num_special_tokens_to_add(pair=True)
    encoded = tokenizer(
        question,
        response,
        split_special_tokens=True,
        truncation="only_second",
        max_length=max_tokens,
        stride=room // 2,
        return_overflowing_tokens=True,
    )
    names = [name for name in tokenizer.model_input_names if name in encoded]
    return [
        {name: encoded[name][number] for name in names}
        for number in range(len(encoded["input_ids"]))
    ]


def whole_pairs(
    tokenizer: PreTrainedTokenizerBase, questions: Sequence[str], responses: Sequence[str]
) -> Iterator[tuple[str, str, Inputs]]:
    """Yield each question and response as plain texts, with the model's inputs for both."""
    questions, responses = (
        [as_plain_text(tokenizer, text) for text in texts] for texts in (questions, responses)
    )
    encoded: Any = tokenizer(questions, responses, split_special_tokens=True) if questions else {}
    for index, (question, response) in enumerate(zip(questions, responses, strict=True)):
        yield question, response, {name: encoded[name][index] for name in encoded}
