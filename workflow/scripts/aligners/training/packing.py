"""Packing: computes rows of different lengths as one sequence without padding.

Each row attends only to itself, and its positions start at 0:

    tokens          a1 a2 a3 b1 b2 c1 c2 c3 c4
    position_ids     0  1  2  0  1  0  1  2  3
    row_lengths            3     2           4

With flash attention, transformers finds the rows by their positions. Otherwise the attention
function of this module computes the rows one by one, without a mask of tokens x tokens.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

ATTENTION = "packed"
IGNORED = -100
# Largest difference of a row's logits alone and in a pack, relative to the largest logit. Rounding
# in float32 causes about 1e-6. If rows mix, the difference is larger: an untrained convolution over
# three tokens causes 1e-3.
TOLERANCE = 3e-5


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    row_lengths: Sequence[int] = (),
    sliding_window: int | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Attend within each row of a pack; an attention function of transformers.

    Args:
        module: the model's attention layer.
        query, key, value: 1 x heads x tokens x width.
        attention_mask: unused, since there is no padding.
        row_lengths: number of tokens of each row, in order; by default all tokens are one row.
        sliding_window: number of tokens that a token attends to, itself included.
        options: further arguments of the attention function of transformers.

    Returns:
        The attention output, 1 x tokens x heads x width, and None instead of attention weights.
    """
    lengths = list(row_lengths or [query.shape[2]])
    options["is_causal"] = True
    outputs = []
    # Per row: 1 x heads x tokens of the row x width.
    rows = (states.split(lengths, dim=2) for states in (query, key, value))
    for queries, keys, values in zip(*rows, strict=True):
        mask = window_mask(queries, sliding_window)
        outputs.append(sdpa_attention_forward(module, queries, keys, values, mask, **options)[0])
    return torch.cat(outputs, dim=1), None


def window_mask(query: torch.Tensor, window: int | None) -> torch.Tensor | None:
    """Return the mask of a sliding window for a row, 1 x 1 x tokens x tokens.

    Returns None if the row is not longer than the window, since the causal mask is enough then.
    """
    tokens = query.shape[2]
    if window is None or tokens <= window:
        return None
    positions = torch.arange(tokens, device=query.device)
    distance = positions[:, None] - positions[None, :]  # tokens x tokens
    return ((distance >= 0) & (distance < window))[None, None]


AttentionInterface.register(ATTENTION, packed_attention)


def prepare_for_packing(model: PreTrainedModel) -> bool:
    """Set a model's attention function for packs, unless the model would mix the rows of a pack.

    A model mixes rows if it has recurrent layers or convolutions over tokens, or if it does not
    accept position ids. This is tested with two short rows, alone and packed, because a list of
    architectures would never be complete.

    Returns:
        Whether the model can compute packs.
    """
    previous = model.config._attn_implementation
    if "flash" in previous:
        return True
    ids = torch.arange(11, 24, device=model.device)  # The first ids are often special tokens.
    rows = [ids[:5], ids[5:]]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            alone = [model(input_ids=row[None], use_cache=False).logits[0] for row in rows]
            model.set_attn_implementation(ATTENTION)
            inputs = pack([{"input_ids": row.tolist(), "prompt_tokens": 1} for row in rows])
            del inputs["labels"], inputs["logits_to_keep"]
            inputs = {name: move(value, model.device) for name, value in inputs.items()}
            packed = model(**inputs).logits
        expected = torch.cat(alone)  # tokens of both rows x vocabulary
        can_pack = bool((packed[0] - expected).abs().max() <= TOLERANCE * expected.abs().max())
    except (TypeError, ValueError, RuntimeError):
        # The model does not accept position ids or another attention function.
        can_pack = False
    model.train(training)
    if not can_pack:
        model.set_attn_implementation(previous)
    return can_pack


def move(value: Any, device: torch.device) -> Any:
    """Move a tensor to a device; return any other value unchanged."""
    return value.to(device) if isinstance(value, torch.Tensor) else value


def pack(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the model's inputs and labels for rows in one pack.

    Args:
        rows: with input_ids, and prompt_tokens, the length of the prompt in tokens (at least 1).

    Returns:
        input_ids and position_ids (1 x tokens); row_lengths; logits_to_keep, the indices of the
        tokens that predict a token of a completion, for which alone logits are computed; labels
        (1 x these indices).
    """
    ids: list[int] = []
    positions: list[int] = []
    predicting: list[int] = []
    labels: list[int] = []
    for row in rows:
        tokens, start = row["input_ids"], row["prompt_tokens"]
        # The last token of the prompt predicts the first of the completion.
        predicting += range(len(ids) + start - 1, len(ids) + len(tokens) - 1)
        labels += tokens[start:]
        ids += tokens
        positions += range(len(tokens))
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "row_lengths": [len(row["input_ids"]) for row in rows],
        "logits_to_keep": torch.tensor(predicting),
        "labels": torch.tensor([labels]),
        "use_cache": False,
    }


def pad(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the inputs and labels for a model that cannot compute packs, padded on the right.

    Args:
        rows: as for `pack`.

    Returns:
        input_ids and attention_mask (rows x tokens); logits_to_keep, the number of last tokens for
        which logits are computed; labels (rows x logits_to_keep), IGNORED for tokens that predict
        no token of a completion.
    """
    width = max(len(row["input_ids"]) for row in rows)
    kept = width - min(row["prompt_tokens"] for row in rows) + 1
    input_ids = torch.zeros(len(rows), width, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED)
    for index, row in enumerate(rows):
        ids, start = torch.tensor(row["input_ids"]), row["prompt_tokens"]
        input_ids[index, : len(ids)] = ids
        attention_mask[index, : len(ids)] = 1
        # Labels are shifted: each is at the token before it, which predicts it.
        labels[index, start - 1 : len(ids) - 1] = ids[start:]
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "logits_to_keep": kept,
        "labels": labels[:, -kept:],
        "use_cache": False,
    }
