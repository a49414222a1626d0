"""Low-rank adapters (LoRA, Hu et al. 2021): trained in place of the weights, then merged into them.

What is exported is a plain model of transformers; nobody who uses it needs peft.
"""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedModel


def add_adapters(model: PreTrainedModel, lora: dict[str, Any], new_tokens: Sequence[int]) -> Any:
    """Return a model with adapters in all its linear layers; nothing else of it is trained.

    Args:
        model: the backbone.
        lora: the recipe's `lora`: rank, alpha, dropout.
        new_tokens: ids of tokens that the backbone has not learned; their rows of the embeddings,
            and of the layer that predicts tokens where that has its own, are trained as well.
    """
    # Most recipes do without, and peft takes two seconds to import.
    from peft import LoraConfig, get_peft_model

    layers: list[Any] = [model.get_input_embeddings()]
    if not model.config.get_text_config().tie_word_embeddings:
        layers.append(model.get_output_embeddings())
    names = [name for name, module in model.named_modules() if any(module is x for x in layers)]
    config = LoraConfig(
        task_type="CAUSAL_LM",
        r=lora["rank"],
        lora_alpha=lora["alpha"],
        lora_dropout=lora["dropout"],
        target_modules="all-linear",
        trainable_token_indices={name: list(new_tokens) for name in names} if new_tokens else None,
    )
    return get_peft_model(model, config)


def merge_adapters(model: Any) -> PreTrainedModel:
    """Return the plain model that computes what a model with adapters does."""
    merged: PreTrainedModel = model.merge_and_unload()
    return merged
