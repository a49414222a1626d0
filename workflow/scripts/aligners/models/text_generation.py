"""Batched generation with a causal language model, one loop for greedy and sampled text.

Rows run in batches under a token budget, the longest prompts first; rows that have ended leave.
What all prompts begin with goes through the model once. A row's text depends on its own prompt and
key, not on its neighbours: padding is neither attended to nor penalised, and every row draws from a
random stream of its own.

How many times as fast as transformers, greedy, float32, one thread, 28 million parameters, with
equal texts (CPU seconds, medians of two rounds; see `benchmarks/run.py text_generation`):

                                          even (64 rows)  uneven (96)  shared prefix (16)
    model.generate(), sorted by length         1.2            2.5            2.3
    model.generate_batch(), continuous         2.7            1.3            1.9

Continuous batching has no stop strings, no repetition penalty and no random stream for each row,
so it cannot stand in. Letting waiting rows join a running batch gained 2 to 11% on a processor, and
is left out; it halves the passes through the model, which has not been measured on a GPU.
"""

import gc
import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from aligners.core.completions import Decoding, Finish, before_stop
from aligners.core.errors import UserError
from aligners.core.rows import row_id
from aligners.models.row_batch import Batch, CachedModel, Row

logger = logging.getLogger(__name__)

# Steps between two searches for stop strings.
SEARCH_EVERY = 8


@dataclass(frozen=True)
class Generated:
    """What a prompt was continued with.

    Attributes:
        index: position among the prompts.
        tokens: tokens generated, those of a stop string included, an end token not.
        seconds: from when the model began to read the prompt to the end of its text.
    """

    index: int
    text: str
    finish: Finish
    tokens: int
    seconds: float


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
        decoding: stop strings are cut off, end tokens are not decoded.
        end_token_ids: tokens that end a text.
        batch_tokens: most tokens in one batch, padding and tokens to come included. Less from the
            first batch on that does not fit in memory.
        keys: what decides a row's random stream together with decoding.seed; by default the index.

    Raises:
        UserError: a row does not fit in memory even alone; or the model has no past_key_values.
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
    most_tokens = max(map(len, prompts), default=0) + decoding.max_new_tokens
    cached_model = CachedModel(model, prompts, most_tokens)
    ends = set(end_token_ids)
    while rows:
        fits = True
        try:
            yield from continue_rows(cached_model, tokenizer, rows, decoding, ends, batch_tokens)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            fits = False
        rows = [row for row in rows if row.finish is None]
        if not fits:
            # Not in the except clause: until its end the error holds the tensors of the batch.
            batch_tokens = make_room(model, rows, batch_tokens)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether there was too little memory on a GPU or on the processor."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def make_room(model: PreTrainedModel, rows: Sequence[Row], batch_tokens: int) -> int:
    """Restart the rows that did not fit in memory, and return a budget for half of them.

    Raises:
        UserError: there was one row only, since the budget allows no more.
    """
    begun = [row for row in rows if row.started is not None]
    most = longest(begun)
    if batch_tokens < 2 * most:
        raise UserError(
            f"{model.name_or_path}: a row of {most} tokens, those to come included, does not fit "
            "in memory even alone, so a lower batch_tokens does not help; lower max_new_tokens, "
            "take a smaller model, or give the job more memory"
        )
    logger.warning(
        "%d rows of up to %d tokens do not fit in memory together; going on with half of them. "
        "A lower batch_tokens in the recipe saves the attempt",
        len(begun),
        most,
    )
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for row in begun:
        row.restart()
    return min(batch_tokens, len(begun) * most) // 2


def longest(rows: Iterable[Row]) -> int:
    """Return the most tokens that a row may come to have."""
    return max(len(row.prompt) + row.limit for row in rows)


@torch.inference_mode()
def continue_rows(
    model: CachedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    decoding: Decoding,
    end_token_ids: set[int],
    batch_tokens: int,
) -> Iterator[Generated]:
    """Continue rows, the longest first, in batches; yield each row when it has ended."""
    waiting = list(rows)
    while waiting:
        count = max(batch_tokens // longest(waiting[:1]), 1)
        batch = Batch(model, waiting[:count])
        del waiting[:count]
        while batch:
            yield from take_step(batch, tokenizer, decoding, end_token_ids)


def take_step(
    batch: Batch, tokenizer: PreTrainedTokenizerBase, decoding: Decoding, end_token_ids: set[int]
) -> Iterator[Generated]:
    """Add a token to each row of a batch, and yield the rows that end with it."""
    logits = penalise(batch.next_logits(), batch.seen, decoding.repetition_penalty)
    next_ids = choose(logits, batch.rows, decoding.temperature)
    for row, token in zip(batch.rows, next_ids.tolist(), strict=True):
        if row.finish is None:
            text = advance(row, token, tokenizer, decoding.stop, end_token_ids)
            if row.finish is not None:
                seconds = round(time.monotonic() - row.started, 3)
                yield Generated(row.index, text, row.finish, len(row.ids), seconds)
    batch.append(next_ids)


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
