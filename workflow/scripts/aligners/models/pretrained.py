"""Loads tokenizers and models from the Hub or a directory."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from transformers import (
    AutoConfig,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.models.files import check_files
from aligners.models.hub import check_access, explained
from aligners.models.weights import check_names, check_values

logger = logging.getLogger(__name__)

# Architectures whose activations exceed the largest number of float16, 65504, so that the model
# computes NaN. The first five are those that vLLM rejects (_FLOAT16_NOT_SUPPORTED_MODELS in its
# config/model.py). transformers keeps a layer of T5 and its successors in float32 and clamps the
# activations (modeling_t5.py), but `model.to` undoes the first.
NOT_IN_FLOAT16 = {
    *("gemma2", "gemma3", "gemma3_text", "glm4", "plamo2"),
    *("t5", "mt5", "umt5"),
}


def silence_transformers() -> None:
    """Turn off the progress bars and info messages of transformers; core.progress replaces them."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_warning()


@contextmanager
def without_warnings() -> Iterator[None]:
    """Turn off the warnings of transformers, such as its report about loaded weights."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)


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


def context_length(config: PretrainedConfig) -> int | None:
    """Return the length of a model's context in tokens, or None if its configuration has none."""
    text_config = config.get_text_config()
    for name in ("max_position_embeddings", "n_positions", "max_seq_len"):
        if getattr(text_config, name, None):
            return int(getattr(text_config, name))
    return None


def load_config(source: ModelSource) -> PretrainedConfig:
    """Load the configuration of a pretrained model.

    Raises:
        UserError: the model cannot be loaded; the message describes what to do.
    """
    check_access(source)
    with explained(source):
        return AutoConfig.from_pretrained(
            source.model, revision=source.revision, trust_remote_code=source.trust_remote_code
        )


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


def load_model(
    auto_class: Any,
    source: ModelSource,
    *,
    dtype: torch.dtype | Literal["auto"],
    new_head: bool = False,
    exact: bool = False,
    **options: Any,
) -> PreTrainedModel:
    """Load the weights of a pretrained model: safetensors, or .bin with `weights: bin`.

    Loading .bin files runs no code from them (`weights_only` of torch.load).

    Args:
        auto_class: the transformers Auto class of the task, such as AutoModelForCausalLM.
        source: the pretrained model.
        dtype: of the loaded weights; "auto" is the dtype in which they are stored.
        new_head: whether the head of a classifier may be missing, and then has random weights.
        exact: whether the model must use all weights.
        options: further options of `from_pretrained`.

    Raises:
        UserError: the weights cannot be loaded, do not fit the configuration, or are not finite, or
            the model cannot compute in this dtype; the message describes what to do.
    """
    check_access(source)
    check_files(source)
    silence_transformers()
    dtype = usable_dtype(source, dtype)
    if source.attention:
        options["attn_implementation"] = source.attention
    with explained(source), without_warnings():
        model, report = auto_class.from_pretrained(
            source.model,
            revision=source.revision,
            trust_remote_code=source.trust_remote_code,
            use_safetensors=source.weights != "bin",
            weights_only=True,
            dtype=dtype,
            # Mismatches are in the report, as missing weights are.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
    check_names(source, model, report, new_head=new_head, exact=exact)
    check_values(source, model)
    return model


def load_for_inference(
    auto_class: Any, source: ModelSource, dtype: torch.dtype | Literal["auto"]
) -> PreTrainedModel:
    """Load a model for inference, on the available GPUs or on the CPU."""
    options: dict[str, Any] = {"device_map": "auto"} if torch.cuda.is_available() else {}
    return load_model(auto_class, source, dtype=dtype, **options).eval()


def usable_dtype(
    source: ModelSource, dtype: torch.dtype | Literal["auto"]
) -> torch.dtype | Literal["auto"]:
    """Return the dtype, or a wider one if the weights are stored in one that the model overflows.

    Raises:
        UserError: the dtype is given, and the model overflows in it.
    """
    config = load_config(source)
    if dtype != "auto":
        check_float16(source.model, config.model_type, dtype)
        return dtype
    if config.dtype != torch.float16 or config.model_type not in NOT_IN_FLOAT16:
        return dtype
    wider = best_dtype("bfloat16" if torch.cuda.is_available() else "float32")
    logger.warning(
        "%s: the weights are stored in float16, in which models of type %s overflow; they are "
        "loaded in %s",
        source.model,
        config.model_type,
        str(wider).removeprefix("torch."),
    )
    return wider


def check_float16(name: str, model_type: str, dtype: torch.dtype) -> None:
    """Check that a model's activations do not overflow in the dtype of its computation.

    Raises:
        UserError: they do.
    """
    if dtype == torch.float16 and model_type in NOT_IN_FLOAT16:
        raise UserError(
            f"{name}: models of type {model_type} overflow in float16; "
            "set dtype: bfloat16 or dtype: float32 in the recipe"
        )
