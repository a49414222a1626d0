"""Low-rank adapters (LoRA, Hu et al. 2021): trained instead of the weights, then merged into them.

The exported model is a plain one of transformers: using it does not need peft.
"""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel

from aligners.configuration.kinds.backbones import Lora


def add_adapters(model: PreTrainedModel, lora: Lora, new_tokens: Sequence[int]) -> Any:
    """Return a model with adapters in all its linear layers; its other weights are frozen.

    Args:
        model: the backbone.
        lora: the recipe's `lora`: rank, alpha, dropout.
        new_tokens: ids of tokens that are new to the backbone; their rows of the embeddings, and of
            the output layer if its weights are separate, are trained as well.
    """
    # Imported here: peft takes two seconds to import, and most recipes do not use it.
    from peft import LoraConfig, get_peft_model

    layers: list[Any] = [model.get_input_embeddings()]
    if not model.config.get_text_config().tie_word_embeddings:
        layers.append(model.get_output_embeddings())
    names = [name for name, module in model.named_modules() if any(module is x for x in layers)]
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora.rank,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        trainable_token_indices={name: list(new_tokens) for name in names} if new_tokens else None,
    )
    return get_peft_model(model, config)


def merge_adapters(model: Any) -> PreTrainedModel:
    """Return the plain model that computes the same as a model with adapters."""
    merged: PreTrainedModel = model.merge_and_unload()
    return merged
