"""Batched generation with a causal language model, greedy or sampled.

Rows run in batches under a token budget, the longest prompts first; ended rows leave the batch. The
common prefix of all prompts is computed once. The text of a row depends on its prompt and key, and
not on the other rows: padding has no effect, and every row has its own random generator.

Speedup over transformers with equal texts: greedy, float32, one thread, 28 million parameters (CPU
seconds, medians of two rounds; see `benchmarks/run.py text_generation`):

                                          even (64 rows)  uneven (96)  shared prefix (16)
    model.generate(), sorted by length         1.2            2.5            2.3
    model.generate_batch(), continuous         2.7            1.3            1.9

Continuous batching of transformers cannot replace this module: it has no stop strings, no
repetition penalty and no random generator for each row. Adding waiting rows to a running batch
saved only 2 to 11% of the time on a CPU, and is not done. It halves the number of forward passes;
this was not measured on a GPU.
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
from aligners.models.pretrained import context_length
from aligners.models.row_batch import Batch, CachedModel, PromptRow

logger = logging.getLogger(__name__)

# Generation steps between two searches for stop strings.
STEPS_BETWEEN_STOP_SEARCHES = 8


@dataclass(frozen=True)
class GeneratedText:
    """The text that was generated for a prompt.

    Attributes:
        index: index of the prompt.
        finish: "stop" at an end token or stop string, "length" at the limit.
        tokens: number of generated tokens, with those of a stop string, without an end token.
        seconds: from the start of reading the prompt to the end of the text.
    """

    index: int
    text: str
    finish: Finish
    tokens: int
    seconds: float


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[list[int]],
    decoding: Decoding,
    end_token_ids: Sequence[int],
    batch_tokens: int,
    keys: Sequence[str] | None = None,
) -> Iterator[GeneratedText]:
    """Generate a text for each prompt, and yield the texts in any order.

    Args:
        prompts: token ids of each prompt: at least one, and fewer than the model's context.
        decoding: the text ends before a stop string.
        end_token_ids: tokens that end a text; they are not decoded.
        batch_tokens: maximum of tokens in a batch, including padding and tokens to come. If a batch
            does not fit in memory, this is reduced for all later batches.
        keys: a string for each prompt that seeds its random generator, together with
            decoding.seed; by default the index.

    Raises:
        UserError: a single row does not fit in memory, or the model has no past_key_values.
    """
    names = keys if keys is not None else [str(index) for index in range(len(prompts))]
    context = context_length(model.config)
    rows = []
    for index, prompt in enumerate(prompts):
        free = decoding.max_new_tokens if context is None else context - len(prompt)
        seed = int(row_id(str(decoding.seed), names[index]), 16)
        rows.append(PromptRow(index, prompt, min(decoding.max_new_tokens, free), seed))
    # The longest first, so that a lack of memory shows at once.
    rows.sort(key=lambda row: len(row.prompt), reverse=True)
    max_tokens = max(map(len, prompts), default=0) + decoding.max_new_tokens
    cached_model = CachedModel(model, prompts, max_tokens)
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
            # After the except clause, since the error refers to the tensors of the batch.
            batch_tokens = restart_with_half_budget(model, rows, batch_tokens)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error means too little memory on a GPU or on the CPU."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def restart_with_half_budget(
    model: PreTrainedModel, rows: Sequence[PromptRow], batch_tokens: int
) -> int:
    """Restart the rows that did not fit in memory, and return a token budget for half of them.

    Raises:
        UserError: the batch had only one row.
    """
    started = [row for row in rows if row.started is not None]
    most = max_row_tokens(started)
    if batch_tokens < 2 * most:
        raise UserError(
            f"{model.name_or_path}: a single row of up to {most} tokens does not fit in memory, so "
            "a lower batch_tokens does not help; lower max_new_tokens, use a smaller model, or "
            "give the job more memory"
        )
    logger.warning(
        "%d rows of up to %d tokens do not fit in memory together; half of them are computed "
        "first. To avoid this, lower batch_tokens in the recipe",
        len(started),
        most,
    )
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    for row in started:
        row.restart()
    return min(batch_tokens, len(started) * most) // 2


def max_row_tokens(rows: Iterable[PromptRow]) -> int:
    """Return the maximum length of the rows, with all tokens that may be generated."""
    return max(len(row.prompt) + row.limit for row in rows)


@torch.inference_mode()
def continue_rows(
    model: CachedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[PromptRow],
    decoding: Decoding,
    end_token_ids: set[int],
    batch_tokens: int,
) -> Iterator[GeneratedText]:
    """Generate for the rows in batches, in order; yield each text when it has ended."""
    waiting = list(rows)
    while waiting:
        count = max(batch_tokens // max_row_tokens(waiting[:1]), 1)
        batch = Batch(model, waiting[:count])
        del waiting[:count]
        while batch:
            yield from generate_step(batch, tokenizer, decoding, end_token_ids)


def generate_step(
    batch: Batch, tokenizer: PreTrainedTokenizerBase, decoding: Decoding, end_token_ids: set[int]
) -> Iterator[GeneratedText]:
    """Add a token to each row of a batch, and yield the texts that end with it."""
    logits = apply_repetition_penalty(batch.next_logits(), batch.seen, decoding.repetition_penalty)
    next_ids = choose_tokens(logits, batch.rows, decoding)
    check_logits(batch, logits, next_ids)
    for row, token in zip(batch.rows, next_ids.tolist(), strict=True):
        if row.finish is None:
            text = add_token(row, token, tokenizer, decoding.stop, end_token_ids)
            if row.finish is not None:
                seconds = round(time.monotonic() - row.started, 3)
                yield GeneratedText(row.index, text, row.finish, len(row.ids), seconds)
    batch.append(next_ids)


def apply_repetition_penalty(
    logits: torch.Tensor, seen: torch.Tensor, penalty: float
) -> torch.Tensor:
    """Make tokens less likely that the row already contains (Keskar et al. 2019).

    Args:
        logits: rows x vocabulary.
        seen: whether a row contains a token, rows x vocabulary.
        penalty: 1.0 has no effect.
    """
    if penalty == 1.0:
        return logits
    return torch.where(seen, torch.where(logits > 0, logits / penalty, logits * penalty), logits)


def choose_tokens(logits: torch.Tensor, rows: list[PromptRow], decoding: Decoding) -> torch.Tensor:
    """Return a token for each row: the likeliest at temperature 0, else one that is drawn.

    Drawing inverts the cumulative distribution at a uniform number from the row's own generator.

    Args:
        logits: rows x vocabulary.
        rows: with their random generators.
        decoding: its temperature, top_p and top_k.
    """
    if decoding.temperature == 0.0:
        return logits.argmax(-1)
    likeliest = keep_likeliest(logits / decoding.temperature, decoding.top_k, decoding.top_p)
    # rows x vocabulary
    cumulative = torch.softmax(likeliest, -1).cumsum(-1)
    draws = torch.tensor([row.random.random() for row in rows], device=logits.device)
    # rows x 1; the last column of `cumulative` is 1 only up to rounding.
    targets = draws.to(cumulative.dtype)[:, None] * cumulative[:, -1:]
    drawn = torch.searchsorted(cumulative, targets, right=True)[:, 0]
    return drawn.clamp(max=logits.shape[-1] - 1)


def keep_likeliest(logits: torch.Tensor, top_k: int | None, top_p: float | None) -> torch.Tensor:
    """Return logits (rows x vocabulary) in which tokens that must not be drawn are -inf.

    Args:
        logits: divided by the temperature.
        top_k: number of likeliest tokens to keep (Fan et al. 2018).
        top_p: probability of the likeliest tokens to keep, of those that top_k keeps (Holtzman et
            al. 2020). The token that reaches it is kept.
    """
    if top_k is None and top_p is None:
        return logits
    ordered, order = logits.sort(-1, descending=True)
    if top_k is not None:
        ordered[..., top_k:] = -torch.inf
    if top_p is not None:
        probabilities = torch.softmax(ordered, -1)
        before = probabilities.cumsum(-1) - probabilities
        ordered[before >= top_p] = -torch.inf
    return torch.empty_like(logits).scatter_(-1, order, ordered)


def check_logits(batch: Batch, logits: torch.Tensor, next_ids: torch.Tensor) -> None:
    """Check that the chosen tokens (next_ids: rows) have numbers as logits (rows x vocabulary).

    Raises:
        UserError: a logit is NaN, because the activations of the model overflow.
    """
    if logits.gather(1, next_ids[:, None]).isnan().any():
        model = batch.model.model
        dtype = str(model.dtype).removeprefix("torch.")
        raise UserError(
            f"{model.name_or_path}: the model computes NaN in {dtype}; set dtype: float32 in the "
            "recipe, or bfloat16 instead of float16"
        )


def add_token(
    row: PromptRow,
    token: int,
    tokenizer: PreTrainedTokenizerBase,
    stop: Sequence[str],
    end_token_ids: set[int],
) -> str:
    """Add a token to a row. If the row ends with it, set `finish` and return the text."""
    if token in end_token_ids:
        row.finish = "stop"
    else:
        row.ids.append(token)
        if len(row.ids) >= row.limit:
            row.finish = "length"
    if row.finish is None and not (stop and len(row.ids) % STEPS_BETWEEN_STOP_SEARCHES == 0):
        return ""
    text = str(
        tokenizer.decode(row.ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    )
    before = before_stop(text, stop)
    if before is None:
        return text
    row.finish = "stop"
    return before
