"""Loads tokenizers and models from the Hub or a directory."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.models.hub import BIN_MESSAGE, check_access, explained


def silence_transformers() -> None:
    """Turn off the progress bars and info messages of transformers; core.progress replaces them."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_warning()


def best_dtype(name: str) -> torch.dtype:
    """Return the dtype for computation that a recipe names; `auto` selects the device's best.

    On a CPU, float16 becomes float32, since PyTorch has few operations in float16 there.
    """
    if torch.cuda.is_available():
        best = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        return getattr(torch, best if name == "auto" else name)
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def best_training_dtype(name: str) -> torch.dtype:
    """Return the dtype for computation in training; weights and optimizer states are float32.

    On a CPU, `auto` is bfloat16 if the CPU has instructions for matrix products in bfloat16.
    """
    if torch.cuda.is_available() or name != "auto":
        return best_dtype(name)
    has_bfloat16 = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32


def set_dropout(model: PreTrainedModel, probability: float | None) -> None:
    """Set the probability of all dropout layers; None keeps those of the model's configuration."""
    if probability is None:
        return
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
        # Some layers have the probability as an attribute and pass it to an attention function.
        for name in ("attention_dropout", "attn_dropout", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, probability)


def context_length(model: PreTrainedModel) -> int | None:
    """Return the length of a model's context in tokens, or None if its configuration has none."""
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        if getattr(config, name, None):
            return int(getattr(config, name))
    return None


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a pretrained model.

    Raises:
        UserError: the model cannot be loaded; the message describes what to do.
    """
    check_access(source)
    with explained(source):
        return AutoTokenizer.from_pretrained(
            source.model,
            revision=source.revision,
            trust_remote_code=source.trust_remote_code,
        )


def load_model(auto_class: Any, source: ModelSource, **options: Any) -> PreTrainedModel:
    """Load the weights of a pretrained model: safetensors, or .bin with `weights: bin`.

    Loading .bin files runs no code from them (`weights_only` of torch.load).

    Args:
        auto_class: the transformers Auto class of the task, such as AutoModelForCausalLM.
        source: the pretrained model.
        options: further options of `from_pretrained`, such as dtype.

    Raises:
        UserError: the weights cannot be loaded; the message describes what to do.
    """
    check_access(source)
    check_weights(source)
    silence_transformers()
    if source.attention:
        options["attn_implementation"] = source.attention
    with explained(source):
        return auto_class.from_pretrained(
            source.model,
            revision=source.revision,
            trust_remote_code=source.trust_remote_code,
            use_safetensors=source.weights != "bin",
            weights_only=True,
            **options,
        )


def load_for_inference(auto_class: Any, source: ModelSource, dtype: Any) -> PreTrainedModel:
    """Load a model for inference, on the available GPUs or on the CPU."""
    options = {"device_map": "auto"} if torch.cuda.is_available() else {}
    return load_model(auto_class, source, dtype=dtype, **options).eval()


def check_weights(source: ModelSource) -> None:
    """Check that a local model directory has weights in the recipe's format.

    Raises:
        UserError: it has none.
    """
    directory = Path(source.model)
    if not directory.is_dir() or any(directory.glob("*.safetensors")):
        return
    if any(directory.glob("*.bin")):
        if source.weights == "bin":
            return
        problem = f"has only .bin weights; {BIN_MESSAGE}"
    else:
        problem = "has no weights (*.safetensors); copy them there, or train the model again"
    raise UserError(f"{directory}: the model directory {problem}")
