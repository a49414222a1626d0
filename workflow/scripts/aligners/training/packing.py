"""Rows of uneven length as one sequence without padding, in which each row attends to itself only.

Positions start anew with each row. Where a recipe asks for flash attention, transformers tells the
rows apart by that; everywhere else the attention function below takes them one after the other,
so that no mask of all tokens by all tokens is made.
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import AttentionInterface, PreTrainedModel
from transformers.integrations.sdpa_attention import sdpa_attention_forward

ATTENTION = "packed"
IGNORED = -100
# Logits of a row alone and of the same row in a pack differ by rounding at most. That is some
# 1e-6 of the largest in float32; a convolution over three tokens with new weights makes 1e-3.
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
        attention_mask: not used; there is no padding.
        row_lengths: tokens of each row, in order; without them all tokens are one row.
        sliding_window: most tokens that a token sees back to, itself included.
        options: what the function of transformers takes besides.

    Returns:
        1 x tokens x heads x width, and no attention weights.
    """
    lengths = list(row_lengths or [query.shape[2]])
    options["is_causal"] = True
    rows = (states.split(lengths, dim=2) for states in (query, key, value))
    parts = []
    for asked, keys, values in zip(*rows, strict=True):
        mask = window_mask(asked, sliding_window)
        parts.append(sdpa_attention_forward(module, asked, keys, values, mask, **options)[0])
    return torch.cat(parts, dim=1), None


def window_mask(query: torch.Tensor, window: int | None) -> torch.Tensor | None:
    """Return which tokens each token of a row sees, where the row is longer than the window."""
    tokens = query.shape[2]
    if window is None or tokens <= window:
        return None
    places = torch.arange(tokens, device=query.device)
    back = places[:, None] - places[None, :]
    return ((back >= 0) & (back < window))[None, None]


AttentionInterface.register(ATTENTION, packed_attention)


def prepare_for_packing(model: PreTrainedModel) -> bool:
    """Let a model compute packs; if it then computes rows otherwise than alone, undo that.

    Recurrent layers, convolutions over tokens and positions that are not given run from one row
    into the next. Rather than from a list of architectures, that is seen from two short rows.

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
        expected = torch.cat(alone)
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
    """Return the model's inputs for rows in one pack, and what it has to predict.

    Args:
        rows: input_ids, and prompt_tokens, how many of them are not to be predicted (at least 1).

    Returns:
        input_ids and position_ids (1 x tokens); row_lengths; logits_to_keep, the places whose
        logits predict a completion's token, no others are computed; labels (1 x places).
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
        input_ids and attention_mask (rows x tokens); logits_to_keep, from how many places before
        the end on; labels (rows x places), those that predict nothing ignored.
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
        labels[place, start - 1 : len(ids) - 1] = ids[start:]
    return {
        "input_ids": input_ids,
        "attention_mask": attention_mask,
        "logits_to_keep": kept,
        "labels": labels[:, -kept:],
        "use_cache": False,
    }
