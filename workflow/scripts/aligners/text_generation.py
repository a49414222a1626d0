"""Batched generation with a causal language model, one loop for greedy and sampled text.

Prompts are sorted by length and batched under a token budget; rows that have ended leave the
batch. A row's text depends on its own prompt and key, not on its neighbours: padding is neither
attended to nor penalised, and every row draws from a random stream of its own.
"""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from transformers import DynamicCache, PreTrainedModel, PreTrainedTokenizerBase

from aligners.engines import Decoding
from aligners.rows import row_id

Finish = Literal["stop", "length"]
Generated = tuple[int, str, Finish]

# Steps between two searches for stop strings, and the share of ended rows at which they leave.
SEARCH_EVERY = 8
LEAVE_SHARE = 0.25


@dataclass
class Row:
    """A prompt being continued.

    Attributes:
        index: position among the prompts.
        limit: most tokens to generate.
        random: the row's own stream of numbers in [0, 1).
        finish: why the row has ended; None while it runs.
    """

    index: int
    prompt: list[int]
    limit: int
    random: np.random.Generator
    ids: list[int] = field(default_factory=list)
    finish: Finish | None = None


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
    """Continue prompts and yield (index, text, finish) in any order.

    Args:
        prompts: token ids of each prompt, not empty.
        decoding: as in `aligners.engines`; stop strings are cut off, end tokens are not decoded.
        end_token_ids: tokens that end a text.
        batch_tokens: most tokens in one batch, padding and tokens to come included.
        keys: what decides a row's random stream together with decoding.seed; by default the index.

    A prompt that fills the model's context has no room for an answer: its text is empty and its
    finish is "length". Only generated ids are decoded.
    """
    context = context_length(model)
    names = keys if keys is not None else [str(index) for index in range(len(prompts))]
    rows = []
    for index, prompt in enumerate(prompts):
        room = decoding.max_new_tokens if context is None else context - len(prompt)
        random = np.random.default_rng(int(row_id(str(decoding.seed), names[index]), 16))
        rows.append(Row(index, prompt, min(decoding.max_new_tokens, room), random))
    for row in rows:
        if row.limit <= 0:
            yield row.index, "", "length"
    for batch in batches([row for row in rows if row.limit > 0], batch_tokens):
        yield from generate_batch(model, tokenizer, batch, decoding, set(end_token_ids))


def batches(rows: list[Row], batch_tokens: int) -> Iterator[list[Row]]:
    """Yield rows in batches by length, the longest first: too little memory shows at once."""
    rows = sorted(rows, key=lambda row: len(row.prompt), reverse=True)
    start = 0
    while start < len(rows):
        longest = len(rows[start].prompt) + max(row.limit for row in rows[start:])
        size = max(1, batch_tokens // longest)
        yield rows[start : start + size]
        start += size


@torch.inference_mode()
def generate_batch(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: list[Row],
    decoding: Decoding,
    end_token_ids: set[int],
) -> Iterator[Generated]:
    """Continue one batch, and yield each row when it has ended."""
    state = BatchState(model, rows)
    while state.rows:
        logits = penalise(state.forward(), state.seen, decoding.repetition_penalty)
        next_ids = choose(logits, state.rows, decoding.temperature)
        for row, token in zip(state.rows, next_ids.tolist(), strict=True):
            if row.finish is None:
                text = advance(row, token, tokenizer, decoding.stop, end_token_ids)
                if row.finish is not None:
                    yield row.index, text, row.finish
        state.append(next_ids)


class BatchState:
    """The tensors of the rows that still run: cache, attention mask, positions, tokens seen."""

    def __init__(self, model: PreTrainedModel, rows: list[Row]):
        """Pad the prompts on the left."""
        self.model, self.rows = model, rows
        width = max(len(row.prompt) for row in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        mask = torch.zeros(len(rows), width, dtype=torch.long)
        self.seen = torch.zeros(len(rows), vocabulary_size(model), dtype=torch.bool)
        for position, row in enumerate(rows):
            ids[position, width - len(row.prompt) :] = torch.tensor(row.prompt)
            mask[position, width - len(row.prompt) :] = 1
            self.seen[position, row.prompt] = True
        self.input_ids, self.mask = ids.to(model.device), mask.to(model.device)
        self.seen = self.seen.to(model.device)
        self.positions = (self.mask.cumsum(-1) - 1).clamp(min=0)
        self.cache = DynamicCache(config=model.config)
        self.accepted = set(inspect.signature(model.forward).parameters)

    def forward(self) -> torch.Tensor:
        """Return the logits of the next token, rows x vocabulary, in float32."""
        options: dict[str, Any] = {"position_ids": self.positions, "logits_to_keep": 1}
        options = {name: value for name, value in options.items() if name in self.accepted}
        output = self.model(
            input_ids=self.input_ids,
            attention_mask=self.mask,
            past_key_values=self.cache,
            use_cache=True,
            **options,
        )
        logits: torch.Tensor = output.logits[:, -1].float()
        return logits

    def append(self, next_ids: torch.Tensor) -> None:
        """Add the chosen tokens; drop the rows that have ended once there are enough of them."""
        self.input_ids = next_ids[:, None]
        self.mask = torch.nn.functional.pad(self.mask, (0, 1), value=1)
        self.positions = self.positions[:, -1:] + 1
        self.seen.scatter_(1, self.input_ids, True)
        running = [i for i, row in enumerate(self.rows) if row.finish is None]
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
    found = [text.index(string) for string in stop if string in text]
    if found:
        row.finish = "stop"
        text = text[: min(found)]
    return text
