"""The input format of an aligner: its prompts and completions as token ids.

Questions, responses and principles are always encoded as plain text: a separator that a user typed
never becomes a separator token. If a row is too long, only the end of its response is cut.
"""

import re
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, Field

from aligners.configuration.kinds.backbones import AlignerDecoding, BackboneRecipe
from aligners.core.errors import UserError
from aligners.core.rows import read_json, write_json
from aligners.models.special_tokens import as_plain_text, plain_ids, without_special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE_NAME = "input_format.json"
# The recipe's settings for inference, which the file has besides the format.
SETTINGS = ("max_tokens", "decoding", "dtype")


@dataclass(frozen=True)
class EncodedPrompt:
    """Token ids of a prompt, and whether its response was cut to fit."""

    ids: list[int]
    truncated: bool


@dataclass(frozen=True)
class InputFormat:
    """The texts around a question, a response and its correction.

    Attributes:
        prompt: template with {question} and {response}; a conditioned aligner's has {principles}.
        end: text of the token that ends a correction; empty for the tokenizer's own end token.
        added_tokens: texts that training adds to the tokenizer as special tokens.
    """

    prompt: str
    end: str = ""
    added_tokens: tuple[str, ...] = ()

    @property
    def reads_principles(self) -> bool:
        """Return whether the principles are part of the prompt."""
        return "{principles}" in self.prompt

    def add_tokens(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Add the format's special tokens to a tokenizer, which keeps its own.

        Raises:
            UserError: a separator is not a single token afterwards, or there is no end token.
        """
        if self.added_tokens:
            tokenizer.add_special_tokens(
                {"extra_special_tokens": list(self.added_tokens)},
                replace_extra_special_tokens=False,
            )
        for token in self.added_tokens:
            if len(tokenizer.encode(token, add_special_tokens=False)) != 1:
                raise UserError(
                    f"the tokenizer of {tokenizer.name_or_path} does not encode {token!r} as one "
                    "token; choose a backbone with a fast tokenizer"
                )
        self.end_token_id(tokenizer)

    def added_ids(self, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
        """Return the ids of the added tokens."""
        vocabulary = tokenizer.get_added_vocab()
        return [int(vocabulary[token]) for token in self.added_tokens]

    def end_token_id(self, tokenizer: "PreTrainedTokenizerBase") -> int:
        """Return the id of the token that ends a correction.

        Raises:
            UserError: the tokenizer has no such token.
        """
        if not self.end:
            token_id = tokenizer.eos_token_id
        else:
            token_id = tokenizer.get_added_vocab().get(self.end)
        if token_id is None:
            raise UserError(
                f"the tokenizer of {tokenizer.name_or_path} has no "
                f"{self.end or 'end-of-sequence'!r} token to mark the end of a correction; "
                "choose another model"
            )
        return int(token_id)

    def end_token_ids(self, tokenizer: "PreTrainedTokenizerBase") -> frozenset[int]:
        """Return the ids of the tokens that end a text: the format's and the tokenizer's own.

        Raises:
            UserError: the tokenizer has no such token.
        """
        own_end = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
        return frozenset({self.end_token_id(tokenizer), *own_end})

    def encode_prompt(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        question: str,
        response: str,
        limit: int,
        principles: str = "",
    ) -> EncodedPrompt | None:
        """Encode a prompt in at most `limit` tokens.

        Returns:
            The prompt, its response cut if needed; None if it is too long even with an empty
            response.
        """
        ids = self.prompt_ids(tokenizer, question, response, principles)
        if len(ids) <= limit:
            return EncodedPrompt(ids, truncated=False)
        if len(self.prompt_ids(tokenizer, question, "", principles)) > limit:
            return None
        fits, too_long = 0, len(response)  # Characters of the response.
        while too_long - fits > 1:
            middle = (fits + too_long) // 2
            cut = self.prompt_ids(tokenizer, question, response[:middle], principles)
            if len(cut) <= limit:
                fits = middle
            else:
                too_long = middle
        ids = self.prompt_ids(tokenizer, question, response[:fits], principles)
        return EncodedPrompt(ids, truncated=True)

    def prompt_ids(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        question: str,
        response: str,
        principles: str = "",
    ) -> list[int]:
        """Encode a prompt of any length: only the template's added tokens become special tokens."""
        added = tokenizer.get_added_vocab()
        separators = [token for token in added if token in self.prompt]
        pieces = re.split("|".join(f"({re.escape(token)})" for token in separators), self.prompt)
        ids = start_ids(tokenizer)
        for piece in pieces if separators else [self.prompt]:
            if piece in added:
                ids.append(added[piece])
            elif piece:
                text = fill(piece, question, response, principles)
                ids += plain_ids(tokenizer, as_plain_text(tokenizer, text))
        return ids

    def prompt_text(
        self,
        tokenizer: "PreTrainedTokenizerBase",
        question: str,
        response: str,
        principles: str = "",
    ) -> str:
        """Return a prompt as a text, for a server that takes no token ids.

        It has no start token, since the server adds one. Special tokens in the texts of a row are
        split, so that only those of the template become tokens.
        """
        plain = partial(without_special_tokens, tokenizer)
        return fill(self.prompt, plain(question), plain(response), plain(principles))

    def completion_ids(
        self, tokenizer: "PreTrainedTokenizerBase", aligned_response: str
    ) -> list[int]:
        """Encode a correction as the completion of a prompt, with the end token."""
        text = self.completion(aligned_response)
        ids = plain_ids(tokenizer, as_plain_text(tokenizer, text))
        return [*ids, self.end_token_id(tokenizer)]

    def completion(self, aligned_response: str) -> str:
        """Return a correction as the text after a prompt, without the end token."""
        # A token includes the space before its word, except after white space or an added token.
        space = "" if self.prompt.endswith((" ", "\n", *self.added_tokens)) else " "
        return space + aligned_response


# The default. A pretrained backbone knows what these words ask for and has its own end token, so
# that it learns in few steps; and adapters of LoRA need no new rows in the embeddings.
PLAIN_FORMAT = InputFormat(prompt="Question: {question}\nAnswer: {response}\nCorrected answer:")

PAPER_FORMAT = InputFormat(
    prompt="{question} [INIT] {response} [ALIGNED] ",
    end=" [DONE]",
    added_tokens=(" [INIT] ", " [ALIGNED] ", " [DONE]", " [SEP] "),
)

FORMATS = {"plain": PLAIN_FORMAT, "paper": PAPER_FORMAT}

# Texts of like meaning, from whose embeddings those of the added tokens start. A row that starts at
# the mean of all embeddings moves too little in a short training (docs/decisions.md).
LIKE_MEANING = {
    " [INIT] ": "\nAnswer:",
    " [ALIGNED] ": "\nCorrected answer:",
    " [SEP] ": "\n",
}


def conditioned(input_format: InputFormat) -> InputFormat:
    """Return a format whose prompts begin with principles.

    All rows of a pass then share this beginning, which is computed once.
    """
    return replace(input_format, prompt="{principles}\n" + input_format.prompt)


def fill(template: str, question: str, response: str, principles: str = "") -> str:
    """Replace the placeholders of a template by texts; braces in the texts stay as they are."""
    values = {"{question}": question, "{response}": response, "{principles}": principles}
    return re.sub("|".join(map(re.escape, values)), lambda match: values[match.group()], template)


def find_token(tokenizer: "PreTrainedTokenizerBase", text: str) -> str:
    """Return the added token with a text, with or without spaces around it, or an empty text."""
    added = tokenizer.get_added_vocab()
    return next((token for token in added if token.strip() == text.strip()), "")


def start_ids(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Return the ids that the tokenizer puts before every text: its start token, or nothing."""
    start = tokenizer.bos_token_id
    return [start] if start is not None and tokenizer.encode("")[:1] == [start] else []


def save_format(directory: Path, input_format: InputFormat, recipe: BackboneRecipe) -> None:
    """Write a model's input format and its recipe's settings for inference into its directory."""
    settings = recipe.model_dump(mode="json", include=set(SETTINGS))
    write_json(directory / FILE_NAME, {**asdict(input_format), **settings})


class SavedFormat(BaseModel):
    """The content of a format's file."""

    prompt: str
    end: str
    added_tokens: list[str]
    max_tokens: Annotated[int, Field(ge=1)]
    decoding: AlignerDecoding
    dtype: str


def load_format(directory: Path) -> tuple[InputFormat, dict[str, Any]]:
    """Read what `save_format` wrote: the format, and max_tokens, decoding and dtype.

    Raises:
        UserError: the directory has no format, or the file lacks a key.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        raise UserError(
            f"{directory}: not the model directory of an aligner, because it has no {FILE_NAME}; "
            "train the aligner again, or use the model as an external aligner with a recipe"
        )
    settings = read_json(path, SavedFormat)
    input_format = InputFormat(
        settings.pop("prompt"), settings.pop("end"), tuple(settings.pop("added_tokens"))
    )
    return input_format, settings
