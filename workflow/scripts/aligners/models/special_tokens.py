"""Special tokens that a user typed: they are encoded as the text that they are."""

import functools
import logging
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def as_plain_text(tokenizer: "PreTrainedTokenizerBase", text: str) -> str:
    """Return a text of which the option split_special_tokens makes no special token.

    A tokenizer of type Unigram has the special tokens among its ordinary ones, and so finds them in
    spite of the option. For such a tokenizer, a space is put into them.
    """
    for token in set(find_control_tokens(tokenizer, text)):
        if tokenizer.convert_tokens_to_ids(token) in plain_ids(tokenizer, token):
            split = f"{token[:1]} {token[1:]}"
            logger.warning("a text has %r, which the tokenizer reads as %r", token, split)
            text = text.replace(token, split)
    return text


def plain_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Encode a text alone; special tokens in it are split."""
    return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def find_control_tokens(
    tokenizer: "PreTrainedTokenizerBase", text: str, template: str = ""
) -> list[str]:
    """Return the special tokens in a text, and the added tokens that a chat template writes."""
    return control_pattern(tokenizer, len(tokenizer), template).findall(text)


@functools.lru_cache(maxsize=8)
def control_pattern(
    tokenizer: "PreTrainedTokenizerBase", size: int, template: str
) -> re.Pattern[str]:
    """Return the pattern of the tokens to find, of a tokenizer of the given size."""
    tokens = [
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if token.special or (token.content in template and not token.content.isspace())
    ]
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")  # (?!) never matches.
