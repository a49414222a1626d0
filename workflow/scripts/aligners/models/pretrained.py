"""Load tokenizers and models from the Hub or a directory, with errors that say what to do."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import logging as transformers_logging

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.models.hub import BIN_MESSAGE, check_access, explained


def quiet() -> None:
    """Turn off the progress bars and notices of transformers: progress.py shows the progress."""
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_warning()


def best_dtype(name: str) -> torch.dtype:
    """Return the dtype for computation that a recipe names; `auto` is the device's best.

    On a processor, float16 becomes float32: most operations are not implemented in float16 there.
    """
    if torch.cuda.is_available():
        best = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
        return getattr(torch, best if name == "auto" else name)
    return torch.bfloat16 if name == "bfloat16" else torch.float32


def best_training_dtype(name: str) -> torch.dtype:
    """Return the dtype in which training computes; weights and their updates stay float32.

    On a processor, `auto` is bfloat16 if it has instructions for products in bfloat16.
    """
    if torch.cuda.is_available() or name != "auto":
        return best_dtype(name)
    has_bfloat16 = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return torch.bfloat16 if has_bfloat16 else torch.float32


def set_dropout(model: PreTrainedModel, probability: float | None) -> None:
    """Set the probability of every dropout of a model; None keeps those of its configuration."""
    if probability is None:
        return
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = probability
        # Some layers keep the probability as a number, and pass it to an attention function.
        for name in ("attention_dropout", "attn_dropout", "dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, probability)


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load the tokenizer of a pretrained model.

    Raises:
        UserError: the model cannot be loaded; the message says what to do.
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

    Weights in .bin files are unpickled as data only (`weights_only` of torch.load): no code runs.

    Args:
        auto_class: the transformers Auto class of the task, such as AutoModelForCausalLM.
        source: the pretrained model.
        options: further options of `from_pretrained`, such as dtype.

    Raises:
        UserError: the weights cannot be loaded; the message says what to do.
    """
    check_access(source)
    check_weights(source)
    quiet()
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
    """Load a model for inference: on the available GPUs, or on the processor."""
    options = {"device_map": "auto"} if torch.cuda.is_available() else {}
    return load_model(auto_class, source, dtype=dtype, **options).eval()


def check_weights(source: ModelSource) -> None:
    """Check that a local model directory has weights of the kind that the recipe names.

    Raises:
        UserError: it has none.
    """
    directory = Path(source.model)
    if not directory.is_dir() or any(directory.glob("*.safetensors")):
        return
    if any(directory.glob("*.bin")):
        if source.weights == "bin":
            return
        what = f"holds weights as .bin only; {BIN_MESSAGE}"
    else:
        what = "holds no weights (*.safetensors); copy them there, or train the model anew"
    raise UserError(f"{directory}: the model directory {what}")
