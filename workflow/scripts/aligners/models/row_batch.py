"""Rows that a causal language model continues together: their tensors and the model's cache.

Rows are padded on the left. Positions are counted without padding, and nothing attends to it, so it
does not matter to a row how many columns of padding it has, nor where they are.
"""

import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch.nn.functional import pad
from transformers import Cache, DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from aligners.core.completions import Finish
from aligners.core.errors import UserError

# Share of ended rows at which they leave a batch.
LEAVE_SHARE = 0.25
# Tokens for which a cache has room beyond those that it holds.
SPARE_COLUMNS = 64
# Fewest tokens that all prompts must begin with to be computed once. On two cores, with 27 million
# parameters, two rows are as fast either way with about 50 such tokens, and eight with about 10.
SHARED_LEAST = 64


@dataclass
class Row:
    """A prompt being continued.

    Attributes:
        index: position among the prompts.
        limit: most tokens to generate.
        seed: what the row's own stream of numbers in [0, 1) begins from.
        started: when the model began to read the prompt, on the monotonic clock; None before.
        finish: why the row has ended; None while it runs.
    """

    index: int
    prompt: list[int]
    limit: int
    seed: int
    ids: list[int] = field(init=False)
    random: np.random.Generator = field(init=False)
    started: float | None = field(init=False)
    finish: Finish | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what was generated, so that the same is generated again."""
        self.ids, self.random, self.started = [], np.random.default_rng(self.seed), None


class PreallocatedLayer(DynamicLayer):
    """A layer of a cache with spare columns: adding a token does not copy those before it.

    Attributes:
        room: keys and values with the spare columns; none where they have to be copied first.
    """

    keys: Any
    values: Any
    room: tuple[torch.Tensor, ...] = ()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add columns, and return all columns."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        added = key_states, value_states
        if not self.room or end > self.room[0].shape[-2]:
            shapes = ((*each.shape[:2], end + SPARE_COLUMNS, each.shape[3]) for each in added)
            self.room = tuple(key_states.new_empty(shape) for shape in shapes)
            if start:
                for room, held in zip(self.room, (self.keys, self.values), strict=True):
                    room[:, :, :start] = held
        for room, states in zip(self.room, added, strict=True):
            room[:, :, start:end] = states
        self.keys, self.values = (room[:, :, :end] for room in self.room)
        return self.keys, self.values

    def keep(self, rows: torch.Tensor, first: int) -> None:
        """Keep some rows, and the columns from one on."""
        self.keys, self.values = self.keys[rows, :, first:], self.values[rows, :, first:]
        self.room = ()


class CachedModel:
    """A model, and what can be done with its cache for given prompts.

    Attributes:
        plain: whether the cache holds all tokens of all rows, and rows may have positions of their
            own; so that rows can begin with a shared prefix, and columns of padding can be dropped.
        prefix: the tokens that all prompts begin with, which are computed once; none where that
            does not pay or cannot be done.
        vocabulary: width of the logits.
    """

    def __init__(self, model: PreTrainedModel, prompts: Sequence[list[int]], most_tokens: int):
        """Find the prefix; the model reads it when the first batch asks for its cache.

        Args:
            model: the model.
            prompts: all prompts.
            most_tokens: how long a batch may become.

        Raises:
            UserError: the model keeps what it has read in a way of its own.
        """
        self.model = model
        self.vocabulary = int(model.get_output_embeddings().weight.shape[0])
        # Not all models have the same options.
        accepted = inspect.signature(model.forward).parameters
        if "past_key_values" not in accepted:
            raise UserError(
                f"{model.name_or_path}: a model of type {model.config.model_type} has no "
                "past_key_values, without which texts cannot be generated here; take another model"
            )
        self.options = {"position_ids", "logits_to_keep"} & set(accepted)
        self.plain = "position_ids" in self.options and holds(model, most_tokens)
        shared = shared_ids(prompts)
        self.prefix = shared if self.plain and len(shared) >= SHARED_LEAST else []
        self.prefix_cache: Cache | None = None

    def cache(self, rows: int) -> Any:
        """Return a cache for a number of rows, in which the model has read the prefix."""
        if not self.plain:
            return DynamicCache(config=self.model.config)
        cache = Cache(layer_class_to_replicate=PreallocatedLayer)
        if not self.prefix:
            return cache
        if self.prefix_cache is None:
            self.prefix_cache = self.read_prefix()
        layers: Any = self.prefix_cache.layers
        for place, layer in enumerate(layers):
            keys, values = (each.expand(rows, -1, -1, -1) for each in (layer.keys, layer.values))
            cache.update(keys, values, place)
        return cache

    def read_prefix(self) -> Cache:
        """Return the cache of one row that is the prefix."""
        cache = Cache(layer_class_to_replicate=PreallocatedLayer)
        ids = torch.tensor([self.prefix], device=self.model.device)
        positions = torch.arange(len(self.prefix), device=self.model.device)[None]
        self.next_logits(ids, torch.ones_like(ids), positions, cache)
        return cache

    def next_logits(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache
    ) -> torch.Tensor:
        """Return the logits of the next token, rows x vocabulary, in float32; extend the cache."""
        options: dict[str, Any] = {"position_ids": positions, "logits_to_keep": 1}
        output = self.model(
            input_ids=ids,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **{name: options[name] for name in self.options},
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits


def holds(model: PreTrainedModel, tokens: int) -> bool:
    """Tell whether a model's cache holds a number of tokens, padding included, in every layer.

    Recurrent states do not, nor does a sliding window that is shorter: padding counts in it.
    """
    return all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer)
        and (layer.get_max_length() == -1 or tokens <= layer.get_max_length())
        for layer in DynamicCache(config=model.config).layers
    )


def shared_ids(prompts: Sequence[list[int]]) -> list[int]:
    """Return the tokens that several prompts begin with, at least one of each prompt left out."""
    if len(prompts) < 2:
        return []
    first, last = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    different = (place for place in range(most) if first[place] != last[place])
    return first[: next(different, most)]


class Batch:
    """The tensors of rows that run together, and their cache.

    Three rows whose prompts share the prefix `P P`, after one step. A column is a token of each
    row; the cache holds keys and values (rows x heads x columns x size) for the same columns:

        columns      0  1  2  3  4  5      P prefix, computed once for all rows
        row 0        P  P  a  b  c  x      a b c ... own part of the prompt
        row 1        P  P  .  a  b  x      .     padding, between prefix and own part
        row 2        P  P  .  .  a  x      x     generated
        mask, row 1  1  1  0  1  1  1      what a row attends to
        positions    0  1  -  2  3  4      of row 1: counted without padding

    Attributes:
        input_ids: the tokens that the model reads next, rows x columns; one column after the first
            step.
        mask: 1 for a token and 0 for padding, rows x all columns so far.
        positions: of `input_ids`, rows x columns.
        seen: which tokens are in a row already, rows x vocabulary, for the repetition penalty.
        cache: of the model; None once no row is left.
    """

    def __init__(self, model: CachedModel, rows: list[Row]):
        """Pad what the prompts hold beyond the prefix on the left."""
        for row in rows:
            row.started = time.monotonic()
        self.model, self.rows = model, rows
        shared, device = len(model.prefix), model.model.device
        width = max(len(row.prompt) for row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        seen = torch.zeros(len(rows), model.vocabulary, dtype=torch.bool)
        mask[:, :shared] = 1
        for place, row in enumerate(rows):
            start = width - len(row.prompt) + shared
            ids[place, start:] = torch.tensor(row.prompt[shared:])
            mask[place, start:] = 1
            seen[place, row.prompt] = True
        self.input_ids, self.mask = ids[:, shared:].to(device), mask.to(device)
        self.positions = (self.mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        self.seen = seen.to(device)
        self.cache = model.cache(len(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def next_logits(self) -> torch.Tensor:
        """Return the logits of the next token, rows x vocabulary, in float32."""
        return self.model.next_logits(self.input_ids, self.mask, self.positions, self.cache)

    def append(self, next_ids: torch.Tensor) -> None:
        """Add the chosen tokens; drop the rows that have ended once there are enough of them."""
        self.input_ids = next_ids[:, None]
        self.mask = pad(self.mask, (0, 1), value=1)
        self.seen.scatter_(1, self.input_ids, True)
        running = [place for place, row in enumerate(self.rows) if row.finish is None]
        # A row that has ended stays where it is: it may have the last position in the context.
        step = torch.zeros_like(self.input_ids)
        step[running] = 1
        self.positions = self.positions[:, -1:] + step
        if len(self.rows) - len(running) >= LEAVE_SHARE * len(self.rows):
            self.keep(running)

    def keep(self, places: list[int]) -> None:
        """Keep the rows at some places, and the columns that are not padding in all of them."""
        self.rows = [self.rows[place] for place in places]
        if not self.rows:
            self.cache = None  # Its memory is for the next batch.
            return
        # On the processor: layers of the cache may lie on different GPUs.
        kept = torch.tensor(places)
        self.input_ids, self.mask = self.input_ids[kept], self.mask[kept]
        self.positions, self.seen = self.positions[kept], self.seen[kept]
        if not self.model.plain:
            self.cache.reorder_cache(kept)
            return
        first = int(self.mask.any(0).int().argmax())
        self.mask = self.mask[:, first:]
        for layer in self.cache.layers:
            layer.keep(kept, first)
