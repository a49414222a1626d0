"""Packing: rows of different lengths as one sequence without padding.

Each row attends to itself only, and its positions start at 0:

    tokens          a1 a2 a3 b1 b2 c1 c2 c3 c4
    position_ids     0  1  2  0  1  0  1  2  3
    row_lengths            3     2           4

With flash attention, transformers finds the rows by their positions. Otherwise the attention
function below computes them one after the other, so that no mask of tokens x tokens is needed.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

ATTENTION = "packed"
IGNORED = -100
# The logits of a row alone and in a pack differ by rounding only: by about 1e-6 of the largest in
# float32. If rows mix, they differ by more: a convolution over three tokens, new, makes 1e-3.
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
        row_lengths: tokens of each row, in order; without them all tokens are one row.
        sliding_window: how many tokens a token attends to, itself included.
        options: further arguments of the attention function of transformers.

    Returns:
        1 x tokens x heads x width, and no attention weights.
    """
    lengths = list(row_lengths or [query.shape[2]])
    options["is_causal"] = True
    outputs = []
    # Of each row, 1 x heads x its tokens x width.
    rows = (states.split(lengths, dim=2) for states in (query, key, value))
    for queries, keys, values in zip(*rows, strict=True):
        mask = window_mask(queries, sliding_window)
        outputs.append(sdpa_attention_forward(module, queries, keys, values, mask, **options)[0])
    return torch.cat(outputs, dim=1), None


def window_mask(query: torch.Tensor, window: int | None) -> torch.Tensor | None:
    """Return which tokens each token attends to (1 x 1 x tokens x tokens), or None for all before.

    A mask is needed only for a row that is longer than the window.
    """
    tokens = query.shape[2]
    if window is None or tokens <= window:
        return None
    positions = torch.arange(tokens, device=query.device)
    distance = positions[:, None] - positions[None, :]  # of each token back to each token
    return ((distance >= 0) & (distance < window))[None, None]


AttentionInterface.register(ATTENTION, packed_attention)


def prepare_for_packing(model: PreTrainedModel) -> bool:
    """Set a model's attention for packs, unless the model would mix the rows of a pack.

    Recurrent layers, convolutions over tokens and positions that cannot be given carry one row into
    the next. Two short rows are computed alone and packed to find out: a list of architectures
    would never be complete.

    Returns:
        Whether the model can compute packs.
    """
    before = model.config._attn_implementation
    if "flash" in before:
        return True
    ids = torch.arange(11, 24, device=model.device)  # The first are often special tokens.
    rows = [ids[:5], ids[5:]]
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            alone = [model(input_ids=row[None], use_cache=False).logits[0] for row in rows]
            model.set_attn_implementation(ATTENTION)
            inputs = pack([{"input_ids": row.tolist(), "prompt_tokens": 1} for row in rows])
            del inputs["labels"], inputs["logits_to_keep"]
            packed = model(**{name: on(model.device, each) for name, each in inputs.items()}).logits
        expected = torch.cat(alone)  # tokens of both rows x vocabulary
        can = bool((packed[0] - expected).abs().max() <= TOLERANCE * expected.abs().max())
    except (TypeError, ValueError, RuntimeError):
        can = False  # The model does not take positions, or another attention function.
    model.train(training)
    if not can:
        model.set_attn_implementation(before)
    return can


def on(device: torch.device, value: Any) -> Any:
    """Return a tensor on a device, and anything else as it is."""
    return value.to(device) if isinstance(value, torch.Tensor) else value


def pack(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the model's inputs and labels for rows in one pack.

    Args:
        rows: with input_ids, and prompt_tokens: how many of them are the prompt (at least 1).

    Returns:
        input_ids and position_ids (1 x tokens); row_lengths; logits_to_keep, the places that
        predict a token of a completion: logits are computed only there; labels (1 x places).
    """
    ids: list[int] = []
    positions: list[int] = []
    places: list[int] = []
    labels: list[int] = []
    for row in rows:
        tokens, start = row["input_ids"], row["prompt_tokens"]
        # The last token of the prompt predicts the first of the completion.
        places += range(len(ids) + start - 1, len(ids) + len(tokens) - 1)
        labels += tokens[start:]
        ids += tokens
        positions += range(len(tokens))
    return {
        "input_ids": torch.tensor([ids]),
        "position_ids": torch.tensor([positions]),
        "row_lengths": [len(row["input_ids"]) for row in rows],
        "logits_to_keep": torch.tensor(places),
        "labels": torch.tensor([labels]),
        "use_cache": False,
    }


def pad(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the same as `pack` for a model that cannot compute packs: rows padded on the right.

    Returns:
        input_ids and attention_mask (rows x tokens); logits_to_keep, the number of last places
        with logits; labels (rows x places), IGNORED where no token of a completion is predicted.
    """
    width = max(len(row["input_ids"]) for row in rows)
    kept = width - min(row["prompt_tokens"] for row in rows) + 1
    input_ids = torch.zeros(len(rows), width, dtype=torch.long)
    attention_mask = torch.zeros_like(input_ids)
    labels = torch.full_like(input_ids, IGNORED)
    for place, row in enumerate(rows):
        ids, start = torch.tensor(row["input_ids"]), row["prompt_tokens"]
        input_ids[place, : len(ids)] = ids
        attention_mask[place, : len(ids)] = 1
        # Each label is at the place that predicts it, one before its own.
        labels[place, start - 1 : len(ids) - 1] = ids[start:]
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "logits_to_keep": kept,
        "labels": labels[:, -kept:],
        "use_cache": False,
    }
