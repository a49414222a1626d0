"""Packing: rows have the same losses and gradients in a pack as alone."""

from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from aligners.training.packing import IGNORED, pack, pad, prepare_for_packing
from aligners.training.trainer import mean_cross_entropy

PLAIN = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 128,
    "vocab_size": 200,
    "bos_token_id": 0,
    "eos_token_id": 0,
    "pad_token_id": 0,
}
GROUPED = {**PLAIN, "num_key_value_heads": 2}
# The windows are shorter than the longest row, so that they have an effect.
SHAPES: dict[str, dict[str, Any]] = {
    "gpt2": {"n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128, "vocab_size": 200},
    "gpt_neox": PLAIN,
    "phi": PLAIN,
    "llama": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 8},
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 16},
    "gemma3_text": {**GROUPED, "head_dim": 16, "sliding_window": 8},
    "smollm3": GROUPED,
}
UNPACKED: dict[str, dict[str, Any]] = {
    "convolutions": {"model_type": "lfm2", **GROUPED, "layer_types": ["conv", "full_attention"]},
    "capped logits": {"model_type": "gemma2", **GROUPED, "head_dim": 16},
}


def make(model_type: str, **config: Any) -> Any:
    """Return a model with random weights, without dropout."""
    torch.manual_seed(0)
    config = {"bos_token_id": 0, "eos_token_id": 0, **config}
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(model_type, **config)).eval()


def make_rows() -> list[dict[str, Any]]:
    """Return rows of different lengths."""
    generator = torch.Generator().manual_seed(0)
    return [
        {
            "input_ids": torch.randint(0, 200, (length,), generator=generator).tolist(),
            "prompt_tokens": prompt,
        }
        for length, prompt in ((20, 7), (5, 1), (31, 30))
    ]


def loss_and_gradients(model: Any, inputs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the sum of the losses, and the gradients of all weights."""
    labels = inputs.pop("labels").flatten()
    logits = model(**inputs).logits.flatten(0, 1)
    loss = torch.nn.functional.cross_entropy(logits, labels, reduction="sum", ignore_index=-100)
    model.zero_grad()
    loss.backward()
    return loss, {name: weight.grad.clone() for name, weight in model.named_parameters()}


def separate_loss_and_gradients(
    model: Any, rows: list[dict[str, Any]]
) -> tuple[Any, dict[str, Any]]:
    """Return the same, computed row by row with the attention of transformers."""
    model.zero_grad()
    total = torch.tensor(0.0)
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        logits = model(input_ids=ids, use_cache=False).logits[0, :-1]
        start = row["prompt_tokens"] - 1
        total = total + torch.nn.functional.cross_entropy(
            logits[start:], ids[0, 1:][start:], reduction="sum"
        )
    total.backward()
    return total, {name: weight.grad.clone() for name, weight in model.named_parameters()}


@pytest.mark.parametrize("model_type", SHAPES)
def test_packed_rows_have_the_loss_and_gradients_of_separate_rows(model_type: str) -> None:
    model, rows = make(model_type, **SHAPES[model_type]), make_rows()
    expected, gradients = separate_loss_and_gradients(model, rows)
    assert prepare_for_packing(model)
    loss, found = loss_and_gradients(model, pack(rows))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    for name, gradient in gradients.items():
        assert torch.allclose(found[name], gradient, atol=1e-5), name


@pytest.mark.parametrize("name", UNPACKED)
def test_rows_are_padded_for_a_model_that_would_mix_them(name: str) -> None:
    config = dict(UNPACKED[name])
    model, rows = make(config.pop("model_type"), **config), make_rows()
    before = model.config._attn_implementation
    expected, _ = separate_loss_and_gradients(model, rows)
    assert not prepare_for_packing(model)
    assert model.config._attn_implementation == before
    loss, _ = loss_and_gradients(model, pad(rows))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_logits_are_computed_only_for_tokens_with_a_loss() -> None:
    model, rows = make("llama", **SHAPES["llama"]), make_rows()
    prepare_for_packing(model)
    inputs = pack(rows)
    labels = inputs.pop("labels")
    assert labels.shape == (1, 13 + 4 + 1)
    assert model(**inputs).logits.shape == (1, 18, 200)
    assert inputs["input_ids"].shape == (1, 56)


def test_the_mean_loss_is_over_the_labels_that_are_not_ignored() -> None:
    logits = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 1.0, 0.0], [5.0, 0.0, 0.0]]])
    labels = torch.tensor([[0, 2, IGNORED]])
    losses = -logits.log_softmax(-1)[0, [0, 1], [0, 2]]
    loss = mean_cross_entropy({"logits": logits}, labels)
    assert loss.item() == pytest.approx(losses.mean().item())
    assert mean_cross_entropy({"logits": logits}, labels, 4).item() == pytest.approx(
        losses.sum().item() / 4
    )
