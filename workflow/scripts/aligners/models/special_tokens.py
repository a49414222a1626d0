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
            text = split_token(text, token)
    return text


def without_special_tokens(tokenizer: "PreTrainedTokenizerBase", text: str) -> str:
    """Return a text in which a tokenizer finds no special token, whatever its options are.

    A space is put into each special token, also into one without the white space around it, which a
    template could add. It is for a server that encodes texts itself.
    """
    pattern = control_pattern(tokenizer, len(tokenizer), "", stripped=True)
    while found := pattern.search(text):  # again, since a text without a token can have another
        text = split_token(text, found.group())
    return text


def split_token(text: str, token: str) -> str:
    """Return a text with a space after the first character of a token that is no white space.

    A token of one character is removed.
    """
    first = len(token) - len(token.lstrip()) + 1
    split = f"{token[:first]} {token[first:]}" if token[first:] else ""
    logger.warning("a text has %r, which the tokenizer reads as %r", token, split)
    return text.replace(token, split)


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
    tokenizer: "PreTrainedTokenizerBase", size: int, template: str, stripped: bool = False
) -> re.Pattern[str]:
    """Return the pattern of the tokens to find, of a tokenizer of the given size.

    `stripped` leaves out the white space around them.
    """
    tokens = [
        token.content
        for token in tokenizer.added_tokens_decoder.values()
        if token.special or (token.content in template and not token.content.isspace())
    ]
    if stripped:
        tokens = [text for token in tokens if (text := token.strip())]
    longest_first = sorted(tokens, key=len, reverse=True)
    return re.compile("|".join(map(re.escape, longest_first)) or "(?!)")  # (?!) never matches.
