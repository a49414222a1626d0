"""Rows that a causal language model continues together: their tensors and the model's cache.

Rows are padded on the left. Position ids do not count padding, and no token attends to padding. So
the logits of a row do not depend on the number and the place of its padding columns.
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

# Ended rows are removed from a batch when they are at least this share of it.
MIN_ENDED_SHARE = 0.25
# Extra columns that a cache allocates for tokens to come.
SPARE_COLUMNS = 64
# A common prefix of the prompts is computed once if it has at least this many tokens. On two cores,
# with 27 million parameters, this saves time from about 50 tokens with two rows, 10 with eight.
MIN_PREFIX_TOKENS = 64


@dataclass
class PromptRow:
    """A prompt and the tokens that were generated for it.

    Attributes:
        index: index of the prompt.
        prompt: token ids of the prompt.
        limit: maximum number of tokens to generate.
        seed: of the row's own random generator.
        ids: the generated token ids.
        started: time on the monotonic clock at which the model began to read the prompt, or None.
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
        """Delete the generated tokens and reset the random generator."""
        self.ids, self.random, self.started = [], np.random.default_rng(self.seed), None


class PreallocatedLayer(DynamicLayer):
    """A cache layer with spare columns, so that adding a token does not copy the earlier ones.

    Attributes:
        keys, values: the used columns, rows x heads x columns x size.
        buffers: keys and values with the spare columns; empty if they have to be allocated.
    """

    keys: Any
    values: Any
    buffers: tuple[torch.Tensor, ...] = ()

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add columns, and return all columns."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        start = self.get_seq_length()
        end = start + key_states.shape[-2]
        added = key_states, value_states
        if not self.buffers or end > self.buffers[0].shape[-2]:
            shapes = ((*each.shape[:2], end + SPARE_COLUMNS, each.shape[3]) for each in added)
            self.buffers = tuple(key_states.new_empty(shape) for shape in shapes)
            if start:
                for buffer, cached in zip(self.buffers, (self.keys, self.values), strict=True):
                    buffer[:, :, :start] = cached
        for buffer, states in zip(self.buffers, added, strict=True):
            buffer[:, :, start:end] = states
        self.keys, self.values = (buffer[:, :, :end] for buffer in self.buffers)
        return self.keys, self.values

    def keep(self, rows: torch.Tensor, first: int) -> None:
        """Keep the given rows, and the columns from `first` on."""
        self.keys, self.values = self.keys[rows, :, first:], self.values[rows, :, first:]
        self.buffers = ()


class CachedModel:
    """A model and its cache, with the common prefix of all prompts computed once if possible.

    Attributes:
        full_cache: whether the cache stores all tokens of all rows, and the model accepts position
            ids. Only then can rows share a prefix and can columns of padding be removed.
        prefix: the token ids that all prompts begin with; empty if they are not computed once.
        vocabulary: width of the logits.
    """

    def __init__(self, model: PreTrainedModel, prompts: Sequence[list[int]], max_tokens: int):
        """Find the prefix; the model reads it when the first batch requests a cache.

        Args:
            model: the model.
            prompts: token ids of all prompts.
            max_tokens: most columns that a batch can have, padding included.

        Raises:
            UserError: the model has no key-value cache (past_key_values).
        """
        self.model = model
        self.vocabulary = int(model.get_output_embeddings().weight.shape[0])
        accepted = inspect.signature(model.forward).parameters
        if "past_key_values" not in accepted:
            raise UserError(
                f"{model.name_or_path}: a model of type {model.config.model_type} has no "
                "past_key_values, which generation needs; use another model"
            )
        self.options = {"position_ids", "logits_to_keep"} & set(accepted)
        self.full_cache = "position_ids" in self.options and caches_all_tokens(model, max_tokens)
        prefix = common_prefix(prompts)
        self.prefix = prefix if self.full_cache and len(prefix) >= MIN_PREFIX_TOKENS else []
        self.prefix_cache: Cache | None = None

    def new_cache(self, rows: int) -> Any:
        """Return a cache for a number of rows that contains the prefix."""
        if not self.full_cache:
            return DynamicCache(config=self.model.config)
        cache = Cache(layer_class_to_replicate=PreallocatedLayer)
        if not self.prefix:
            return cache
        if self.prefix_cache is None:
            self.prefix_cache = self.read_prefix()
        layers: Any = self.prefix_cache.layers
        for index, layer in enumerate(layers):
            # 1 x heads x prefix x size, expanded to all rows.
            keys, values = (each.expand(rows, -1, -1, -1) for each in (layer.keys, layer.values))
            cache.update(keys, values, index)
        return cache

    def read_prefix(self) -> Cache:
        """Compute the prefix, and return its cache of one row."""
        cache = Cache(layer_class_to_replicate=PreallocatedLayer)
        ids = torch.tensor([self.prefix], device=self.model.device)
        positions = torch.arange(len(self.prefix), device=self.model.device)[None]
        self.next_logits(ids, torch.ones_like(ids), positions, cache)
        return cache

    def next_logits(
        self, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, cache: Cache
    ) -> torch.Tensor:
        """Return the logits of the next token and extend the cache.

        Args:
            ids, positions: the tokens to read and their position ids, rows x new columns.
            mask: 1 for a token and 0 for padding, rows x all columns.
            cache: with the columns before the new ones.

        Returns:
            rows x vocabulary, in float32.
        """
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


def caches_all_tokens(model: PreTrainedModel, tokens: int) -> bool:
    """Return whether every layer of a model's cache stores this many tokens, padding included.

    Recurrent layers and sliding windows that are shorter do not.
    """
    return all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer)
        and (layer.get_max_length() == -1 or tokens <= layer.get_max_length())
        for layer in DynamicCache(config=model.config).layers
    )


def common_prefix(prompts: Sequence[list[int]]) -> list[int]:
    """Return the tokens that all prompts begin with; at least one token of each is left over."""
    if len(prompts) < 2:
        return []
    # A prefix of the first and the last in sorted order is a prefix of all between them.
    first, last = min(prompts), max(prompts)
    limit = min(map(len, prompts)) - 1
    different = (index for index in range(limit) if first[index] != last[index])
    return first[: next(different, limit)]


class Batch:
    """The tensors of rows that run together, and their cache.

    The diagram shows three rows with the common prefix `P P`, after one step. A column is one token
    of each row. The cache stores keys and values (rows x heads x columns x size) of these columns:

        columns      0  1  2  3  4  5      P prefix, computed once for all rows
        row 0        P  P  a  b  c  x      a b c  rest of the prompt
        row 1        P  P  .  a  b  x      .  padding, between the prefix and the rest
        row 2        P  P  .  .  a  x      x  generated
        mask, row 1  1  1  0  1  1  1      tokens that the row attends to
        positions    0  1  -  2  3  4      of row 1, which do not count padding

    Attributes:
        input_ids: the tokens that the model reads next, rows x columns; one column after the first
            step.
        mask: 1 for a token and 0 for padding, rows x all columns so far.
        positions: position ids of `input_ids`, rows x columns.
        seen: whether a row contains a token, rows x vocabulary, for the repetition penalty.
        cache: of the model; None when no row is left.
    """

    def __init__(self, model: CachedModel, rows: list[PromptRow]):
        """Pad the prompts between the common prefix and the rest."""
        for row in rows:
            row.started = time.monotonic()
        self.model, self.rows = model, rows
        shared, device = len(model.prefix), model.model.device
        width = max(len(row.prompt) for row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        seen = torch.zeros(len(rows), model.vocabulary, dtype=torch.bool)
        mask[:, :shared] = 1
        for index, row in enumerate(rows):
            start = width - len(row.prompt) + shared
            ids[index, start:] = torch.tensor(row.prompt[shared:])
            mask[index, start:] = 1
            seen[index, row.prompt] = True
        self.input_ids, self.mask = ids[:, shared:].to(device), mask.to(device)
        self.positions = (self.mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        self.seen = seen.to(device)
        self.cache = model.new_cache(len(rows))

    def __len__(self) -> int:
        return len(self.rows)

    def next_logits(self) -> torch.Tensor:
        """Return the logits of the next token, rows x vocabulary, in float32."""
        return self.model.next_logits(self.input_ids, self.mask, self.positions, self.cache)

    def append(self, next_ids: torch.Tensor) -> None:
        """Add a token to each row (next_ids: rows); remove ended rows if they are a large share."""
        self.input_ids = next_ids[:, None]
        self.mask = pad(self.mask, (0, 1), value=1)
        self.seen.scatter_(1, self.input_ids, True)
        running = [index for index, row in enumerate(self.rows) if row.finish is None]
        # The positions of ended rows stay the same: they may be the last of the model's context.
        step = torch.zeros_like(self.input_ids)
        step[running] = 1
        self.positions = self.positions[:, -1:] + step
        if len(self.rows) - len(running) >= MIN_ENDED_SHARE * len(self.rows):
            self.keep(running)

    def keep(self, indices: list[int]) -> None:
        """Keep the rows at the given indices, and remove the first columns if all are padding."""
        self.rows = [self.rows[index] for index in indices]
        if not self.rows:
            self.cache = None  # Frees the memory for the next batch.
            return
        # The index is on the CPU, since layers of the cache may be on different GPUs.
        kept = torch.tensor(indices)
        self.input_ids, self.mask = self.input_ids[kept], self.mask[kept]
        self.positions, self.seen = self.positions[kept], self.seen[kept]
        if not self.model.full_cache:
            self.cache.reorder_cache(kept)
            return
        first = int(self.mask.any(0).int().argmax())
        self.mask = self.mask[:, first:]
        for layer in self.cache.layers:
            layer.keep(kept, first)
