"""What an aligner reads and where its answer ends: from (question, response) to token ids.

A question, a response and principles are always encoded as plain text: a separator typed by a user
never becomes a separator token. A row that is too long loses the end of its response, nothing else.
"""

import re
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.core.errors import UserError
from aligners.core.rows import read_json, write_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FILE_NAME = "input_format.json"


@dataclass(frozen=True)
class EncodedPrompt:
    """Token ids of a prompt, and whether the response in it was cut to fit."""

    ids: list[int]
    truncated: bool


@dataclass(frozen=True)
class InputFormat:
    """The text around a question and a response.

    Attributes:
        prompt: template with {question} and {response}; with {principles} where the aligner is told
            by what to correct.
        end: text of the token that ends an aligned response; empty for the tokenizer's own.
        added_tokens: texts that training adds to the tokenizer as special tokens.
    """

    prompt: str
    end: str = ""
    added_tokens: tuple[str, ...] = ()

    @property
    def reads_principles(self) -> bool:
        """Tell whether the text of the principles is part of the prompt."""
        return "{principles}" in self.prompt

    def add_tokens(self, tokenizer: "PreTrainedTokenizerBase") -> None:
        """Add the format's special tokens to a tokenizer, keeping those that it has.

        Raises:
            UserError: a separator is not a single token afterwards, or nothing can end an answer.
        """
        if self.added_tokens:
            tokenizer.add_special_tokens(
                {"extra_special_tokens": list(self.added_tokens)},
                replace_extra_special_tokens=False,
            )
        for token in self.added_tokens:
            if len(tokenizer.encode(token, add_special_tokens=False)) != 1:
                raise UserError(
                    f"the tokenizer of {tokenizer.name_or_path} does not take {token!r} as one "
                    "token; choose a backbone with a fast tokenizer"
                )
        self.end_token_id(tokenizer)

    def added_ids(self, tokenizer: "PreTrainedTokenizerBase") -> list[int]:
        """Return the ids of the added tokens."""
        vocabulary = tokenizer.get_added_vocab()
        return [int(vocabulary[token]) for token in self.added_tokens]

    def end_token_id(self, tokenizer: "PreTrainedTokenizerBase") -> int:
        """Return the id of the token that ends an aligned response.

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
                f"{self.end or 'end-of-sequence'!r} token, so no answer of it could end; "
                "choose another model"
            )
        return int(token_id)

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
            The prompt, its response cut where needed; None if it is too long without a response.
        """
        ids = self.prompt_ids(tokenizer, question, response, principles)
        if len(ids) <= limit:
            return EncodedPrompt(ids, truncated=False)
        if len(self.prompt_ids(tokenizer, question, "", principles)) > limit:
            return None
        fits, too_long = 0, len(response)
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
        """Encode a prompt of any length: added tokens as themselves, all else as plain text."""
        added = tokenizer.get_added_vocab()
        separators = [token for token in added if token in self.prompt]
        pieces = re.split("|".join(f"({re.escape(token)})" for token in separators), self.prompt)
        ids = start_ids(tokenizer)
        for piece in pieces if separators else [self.prompt]:
            if piece in added:
                ids.append(added[piece])
            elif piece:
                text = fill(piece, question, response, principles)
                ids += plain_ids(tokenizer, text)
        return ids

    def completion_ids(
        self, tokenizer: "PreTrainedTokenizerBase", aligned_response: str
    ) -> list[int]:
        """Encode what the aligner has to write after a prompt, the end token included."""
        # After text, a word is a token together with the space before it; after an added token not.
        space = "" if self.prompt.endswith((" ", "\n", *self.added_tokens)) else " "
        ids = plain_ids(tokenizer, space + aligned_response)
        return [*ids, self.end_token_id(tokenizer)]


OWN_FORMAT = InputFormat(
    prompt="{question} [INIT] {response} [ALIGNED] ",
    end=" [DONE]",
    added_tokens=(" [INIT] ", " [ALIGNED] ", " [DONE]", " [SEP] "),
)

# The principles come first: they are the same in all rows of a pass, which reads them once.
CONDITIONED_FORMAT = replace(OWN_FORMAT, prompt="{principles}\n" + OWN_FORMAT.prompt)


def fill(template: str, question: str, response: str, principles: str = "") -> str:
    """Put texts into the places of a template; braces in them stay as they are."""
    values = {"{question}": question, "{response}": response, "{principles}": principles}
    return re.sub("|".join(map(re.escape, values)), lambda match: values[match.group()], template)


def plain_ids(tokenizer: "PreTrainedTokenizerBase", text: str) -> list[int]:
    """Encode a text in which nothing is a special token."""
    return list(tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def start_ids(tokenizer: "PreTrainedTokenizerBase") -> list[int]:
    """Return the token that the tokenizer puts before every text, if it does."""
    start = tokenizer.bos_token_id
    return [start] if start is not None and tokenizer.encode("")[:1] == [start] else []


def save_format(directory: Path, input_format: InputFormat, recipe: BackboneRecipe) -> None:
    """Write beside a model how it is used: its format, and what its recipe says of inference."""
    settings = recipe.model_dump(mode="json", include={"max_tokens", "decoding", "dtype"})
    write_json(directory / FILE_NAME, {**asdict(input_format), **settings})


def load_format(directory: Path) -> tuple[InputFormat, dict[str, Any]]:
    """Read what `save_format` wrote: the format, and max_tokens, decoding and dtype.

    Raises:
        UserError: the directory holds no format.
    """
    path = directory / FILE_NAME
    if not path.is_file():
        raise UserError(
            f"{directory}: not an aligner's directory, since it holds no {FILE_NAME}; "
            "train the aligner anew, or use it as an external aligner with a recipe"
        )
    settings = read_json(path)
    input_format = InputFormat(
        settings.pop("prompt"), settings.pop("end"), tuple(settings.pop("added_tokens"))
    )
    return input_format, settings
