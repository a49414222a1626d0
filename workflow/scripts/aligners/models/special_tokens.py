"""Special tokens that a user typed: they are encoded as the text that they are."""

import functools
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

logger = logging.getLogger(__name__)


def as_plain_text(tokenizer: "PreTrainedTokenizerBase", text: str) -> str:
    """Return a text of which the option split_special_tokens makes no special token.

    A tokenizer of type Unigram has the special tokens among its ordinary ones, and so finds them in
    spite of the option. For such a tokenizer, a space is put into them.
    """
    for token, token_id in special_tokens(tokenizer, len(tokenizer)).items():
        if token in text and token_id in plain_ids(tokenizer, token):
            split = f"{token[:1]} {token[1:]}"
            logger.warning("a text has %r, which the tokenizer reads as %r", token, split)
            text = text.replace(token, split)
    return text


def plain_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Encode a text alone; special tokens in it are split."""
    return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


@functools.lru_cache(maxsize=8)
def special_tokens(tokenizer: "PreTrainedTokenizerBase", size: int) -> dict[str, int]:
    """Return the special tokens of a tokenizer of the given size, with their ids."""
    added = tokenizer.added_tokens_decoder.items()
    return {token.content: token_id for token_id, token in added if token.special}
