"""Low-rank adapters (LoRA, Hu et al. 2021): trained instead of the weights, then merged into them.

The exported model is an ordinary model of transformers, and does not need peft. The adapters are
kept beside it, for servers that apply several to one backbone.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from aligners.configuration.kinds.backbones import Lora


def add_adapters(model: PreTrainedModel, lora: Lora, new_tokens: Sequence[int]) -> Any:
    """Add adapters to all linear layers of a model and freeze its other weights.

    Args:
        model: the backbone.
        lora: the recipe's `lora`: rank, alpha, dropout.
        new_tokens: ids of tokens that were added to the backbone. Their rows of the embeddings are
            trained too, and their rows of the output layer if its weights are not tied.

    Returns:
        The model with adapters, of peft.
    """
    # Imported here, since it takes two seconds and most recipes do not need it.
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


def save_adapters(model: Any, revision: str, directory: Path, is_main_process: bool) -> None:
    """Write the adapters of a model: adapter_config.json and adapter_model.safetensors.

    Args:
        model: with adapters, of peft. Its backbone is named in the configuration.
        revision: of the backbone.
        directory: created if it is missing.
        is_main_process: whether this process writes. All call it, as each may have some weights.
    """
    model.peft_config["default"].revision = revision
    # With "auto", peft would ask the Hub whether the embeddings were changed.
    model.save_pretrained(directory, save_embedding_layers=False, is_main_process=is_main_process)
    if is_main_process:
        (directory / "README.md").unlink()  # a template of a model card


def merge_adapters(model: Any) -> PreTrainedModel:
    """Merge the adapters into the weights, and return an ordinary model."""
    merged: PreTrainedModel = model.merge_and_unload()
    return merged
