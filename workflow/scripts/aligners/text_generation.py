"""Batched generation with a causal language model, one loop for greedy and sampled text.

Prompts are sorted by length and batched under a token budget; rows that have ended leave the
batch. What all prompts begin with goes through the model once. A row's text depends on its own
prompt and key, not on its neighbours: padding is neither attended to nor penalised, and every row
draws from a random stream of its own.
"""

import copy
import gc
import inspect
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from aligners.engines import Decoding, Finish, before_stop
from aligners.errors import UserError
from aligners.rows import row_id

logger = logging.getLogger(__name__)

# Steps between two searches for stop strings, and the share of ended rows at which they leave.
SEARCH_EVERY = 8
LEAVE_SHARE = 0.25
# Fewest tokens that all prompts must begin with to be computed once: from there on, two rows take
# less time up to their first tokens, with half as many they take more (one core, 27 M parameters).
SHARED_LEAST = 64


@dataclass(frozen=True)
class Generated:
    """What a prompt was continued with.

    Attributes:
        index: position among the prompts.
        tokens: tokens generated, those of a stop string included, an end token not.
        seconds: from the start of the prompt's batch to the end of its text.
    """

    index: int
    text: str
    finish: Finish
    tokens: int
    seconds: float


@dataclass
class Row:
    """A prompt being continued.

    Attributes:
        index: position among the prompts.
        limit: most tokens to generate.
        seed: what the row's own stream of numbers in [0, 1) begins from.
        finish: why the row has ended; None while it runs.
    """

    index: int
    prompt: list[int]
    limit: int
    seed: int
    ids: list[int] = field(init=False)
    random: np.random.Generator = field(init=False)
    finish: Finish | None = None

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget what was generated, so that the same is generated again."""
        self.ids, self.random = [], np.random.default_rng(self.seed)


def context_length(model: PreTrainedModel) -> int | None:
    """Return the most tokens that a model can attend to, or None if its configuration is silent."""
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        if getattr(config, name, None):
            return int(getattr(config, name))
    return None


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    end_token_ids: Sequence[int],
    batch_tokens: int,
    keys: Sequence[str] | None = None,
) -> Iterator[Generated]:
    """Continue prompts, in any order. Only generated ids are decoded.

    Args:
        prompts: token ids of each prompt, at least one, and fewer than the model's context has.
        decoding: as in `aligners.engines`; stop strings are cut off, end tokens are not decoded.
        end_token_ids: tokens that end a text.
        batch_tokens: most tokens in one batch, padding and tokens to come included. Less from the
            first batch on that does not fit in memory.
        keys: what decides a row's random stream together with decoding.seed; by default the index.

    Raises:
        UserError: a row does not fit in memory even alone.
    """
    names = keys if keys is not None else [str(index) for index in range(len(prompts))]
    context = context_length(model)
    rows = []
    for index, prompt in enumerate(prompts):
        room = decoding.max_new_tokens if context is None else context - len(prompt)
        seed = int(row_id(str(decoding.seed), names[index]), 16)
        rows.append(Row(index, prompt, min(decoding.max_new_tokens, room), seed))
    # The longest first: too little memory shows at once.
    rows.sort(key=lambda row: len(row.prompt), reverse=True)
    prefix = Prefix(model, rows)
    while rows:
        batch = rows[: max(1, batch_tokens // longest(rows))]
        fits = True
        try:
            yield from generate_batch(model, tokenizer, batch, decoding, set(end_token_ids), prefix)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            fits = False
        if not fits:
            # Not in the except clause: until its end the error holds the tensors of the batch.
            batch_tokens = make_room(model, batch)
        rows = [row for row in rows if row.finish is None]


def longest(rows: Sequence[Row]) -> int:
    """Return the most tokens of a row, tokens to come included; the longest prompt is first."""
    return len(rows[0].prompt) + max(row.limit for row in rows)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether there was too little memory on a GPU or on the processor."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def make_room(model: PreTrainedModel, batch: list[Row]) -> int:
    """Restart the rows of a batch that did not fit in memory, and return what half of it takes.

    Raises:
        UserError: the batch is one row.
    """
    if len(batch) == 1:
        raise UserError(
            f"{model.name_or_path}: a row of {longest(batch)} tokens, {len(batch[0].prompt)} of "
            "them its prompt, does not fit in memory even alone, so a lower batch_tokens does not "
            "help; lower max_new_tokens, take a smaller model, or give the job more memory"
        )
    logger.warning(
        "%d rows of up to %d tokens do not fit in memory together; going on with half of them. "
        "A lower batch_tokens in the recipe saves the attempt",
        len(batch),
        longest(batch),
    )
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for row in batch:
        row.restart()
    return len(batch) // 2 * longest(batch)


class Prefix:
    """The tokens that all prompts begin with, and the model's cache of them.

    Attributes:
        ids: the tokens; none where sharing does not pay or the model cannot do it.
    """

    def __init__(self, model: PreTrainedModel, rows: Sequence[Row]):
        """Find the tokens; the model reads them when the first batch asks for their cache."""
        self.model, self.ids = model, shared_ids([row.prompt for row in rows])
        self.cache: DynamicCache | None = None
        if len(self.ids) < SHARED_LEAST or not can_share(model, longest(rows)):
            self.ids = []

    def caches(self, count: int) -> DynamicCache:
        """Return a cache for `count` rows, in which the model has read the tokens."""
        if not self.ids:
            return DynamicCache(config=self.model.config)
        if self.cache is None:
            state = BatchState(self.model, [Row(-1, self.ids, limit=0, seed=0)])
            state.forward()
            self.cache = state.cache
        cache = copy.deepcopy(self.cache)
        cache.batch_repeat_interleave(count)
        return cache


def shared_ids(prompts: Sequence[list[int]]) -> list[int]:
    """Return the tokens that several prompts begin with, at least one of each prompt left out."""
    if len(prompts) < 2:
        return []
    first, last = min(prompts), max(prompts)
    most = min(map(len, prompts)) - 1
    different = (place for place in range(most) if first[place] != last[place])
    return first[: next(different, most)]


def can_share(model: PreTrainedModel, tokens: int) -> bool:
    """Tell whether rows of a model can go on from one cache, up to a number of tokens.

    They need positions of their own, and layers that keep all these tokens: no recurrent state, and
    no sliding window that is shorter, since the padding between prefix and rest would count in it.
    """
    return takes(model, "position_ids") and all(
        type(layer) in (DynamicLayer, DynamicSlidingWindowLayer)
        and (layer.get_max_length() == -1 or tokens <= layer.get_max_length())
        for layer in DynamicCache(config=model.config).layers
    )


def takes(model: PreTrainedModel, option: str) -> bool:
    """Tell whether a model's forward has an option; not all have the same."""
    return option in inspect.signature(model.forward).parameters


@torch.inference_mode()
def generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[Row],
    decoding: Decoding,
    end_token_ids: set[int],
    prefix: Prefix,
) -> Iterator[Generated]:
    """Continue one batch, and yield each row when it has ended."""
    started = time.monotonic()
    state = BatchState(model, rows, prefix)
    while state.rows:
        logits = penalise(state.forward(), state.seen, decoding.repetition_penalty)
        next_ids = choose(logits, state.rows, decoding.temperature)
        for row, token in zip(state.rows, next_ids.tolist(), strict=True):
            if row.finish is None:
                text = advance(row, token, tokenizer, decoding.stop, end_token_ids)
                if row.finish is not None:
                    seconds = round(time.monotonic() - started, 3)
                    yield Generated(row.index, text, row.finish, len(row.ids), seconds)
        state.append(next_ids)


class BatchState:
    """The tensors of the rows that still run: cache, attention mask, positions, tokens seen."""

    def __init__(self, model: PreTrainedModel, rows: list[Row], prefix: Prefix | None = None):
        """Pad what the prompts hold beyond the prefix on the left."""
        self.model, self.rows = model, rows
        shared = len(prefix.ids) if prefix else 0
        width = max(len(row.prompt) for row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        mask[:, :shared] = 1
        self.seen = torch.zeros(len(rows), vocabulary_size(model), dtype=torch.bool)
        for position, row in enumerate(rows):
            start = width - len(row.prompt) + shared
            ids[position, start:] = torch.tensor(row.prompt[shared:])
            mask[position, start:] = 1
            self.seen[position, row.prompt] = True
        self.input_ids, self.mask = ids[:, shared:].to(model.device), mask.to(model.device)
        self.seen = self.seen.to(model.device)
        self.positions = (self.mask.cumsum(-1) - 1).clamp(min=0)[:, shared:]
        self.cache = prefix.caches(len(rows)) if prefix else DynamicCache(config=model.config)
        self.options = [name for name in ("position_ids", "logits_to_keep") if takes(model, name)]

    def forward(self) -> torch.Tensor:
        """Return the logits of the next token, rows x vocabulary, in float32."""
        options: dict[str, Any] = {"position_ids": self.positions, "logits_to_keep": 1}
        output = self.model(
            input_ids=self.input_ids,
            attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
            **{name: options[name] for name in self.options},
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def append(self, next_ids: torch.Tensor) -> None:
        """Add the chosen tokens; drop the rows that have ended once there are enough of them."""
        self.input_ids = next_ids[:, None]
        self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        self.seen.scatter_(1, self.input_ids, True)
        running = [place for place, row in enumerate(self.rows) if row.finish is None]
        # A row that has ended stays where it is: there may be no further position in the context.
        step = torch.zeros_like(self.input_ids)
        step[running] = 1
        self.positions = self.positions[:, -1:] + step
        ended = len(self.rows) - len(running)
        if not running:
            self.rows = []
        elif ended >= LEAVE_SHARE * len(self.rows):
            # Kept on the processor: layers of the cache may lie on different GPUs.
            keep = torch.tensor(running)
            self.cache.batch_select_indices(keep)
            self.input_ids, self.mask = self.input_ids[keep], self.mask[keep]
            self.positions, self.seen = self.positions[keep], self.seen[keep]
            self.rows = [self.rows[i] for i in running]


def vocabulary_size(model: PreTrainedModel) -> int:
    """Return the width of a model's logits."""
    return int(model.get_output_embeddings().weight.shape[0])


def penalise(logits: torch.Tensor, seen: torch.Tensor, penalty: float) -> torch.Tensor:
    """Make tokens of the prompt and of the text so far less likely (Keskar et al. 2019)."""
    if penalty == 1.0:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def choose(logits: torch.Tensor, rows: list[Row], temperature: float) -> torch.Tensor:
    """Return one token for each row: the likeliest, or drawn at the given temperature."""
    if temperature == 0.0:
        return logits.argmax(-1)
    cumulative = torch.softmax(logits / temperature, -1).cumsum(-1)
    draws = torch.tensor([row.random.random() for row in rows], device=logits.device)
    targets = draws.to(cumulative.dtype)[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, targets, right=True)[:, 0]
    return drawn.clamp(max=logits.shape[-1] - 1)


def advance(
    row: Row,
    token: int,
    tokenizer: PreTrainedTokenizerBase,
    stop: Sequence[str],
    end_token_ids: set[int],
) -> str:
    """Add a token to a row; if the row ends with it, set its finish and return its text."""
    if token in end_token_ids:
        row.finish = "stop"
    else:
        row.ids.append(token)
        if len(row.ids) >= row.limit:
            row.finish = "length"
    if row.finish is None and not (stop and len(row.ids) % SEARCH_EVERY == 0):
        return ""
    text = str(
        tokenizer.decode(row.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )
    before = before_stop(text, stop)
    if before is None:
        return text
    row.finish = "stop"
    return before
