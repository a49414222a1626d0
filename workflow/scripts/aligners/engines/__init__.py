"""Engines: the one way to get completions from an LLM, wherever it runs.

An engine is one function: requests and decoding in, completions out, in any order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

Message = dict[str, str]
Prompt = str | list[Message]

MODULES = {"closed-world": "closed_world", "transformers": "transformers"}


@dataclass(frozen=True)
class Request:
    """A prompt with the id of the row it is for: text, or messages for the chat template."""

    id: str
    prompt: Prompt


@dataclass(frozen=True)
class Decoding:
    """How completions are drawn. Temperature 0 is greedy; `stop` strings are not part of the text.

    `max_new_tokens` counts tokens of the LLM's own tokenizer.
    """

    max_new_tokens: int
    temperature: float = 0.0
    repetition_penalty: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Completion:
    """The text an LLM wrote for a request, and whether it ended by itself or at the limit."""

    id: str
    text: str
    finish: Literal["stop", "length"]


Engine = Callable[[Sequence[Request], Decoding], Iterator[Completion]]


def load_engine(recipe: dict[str, Any]) -> Engine:
    """Load the engine that an LLM's recipe names (`engine`).

    Raises:
        UserError: the model cannot be loaded as the recipe says.
    """
    module = import_module(f"aligners.engines.{MODULES[recipe['engine']]}")
    engine: Engine = module.load(recipe)
    return engine
