"""Checks of loaded weights: they fit the configuration, and are finite.

transformers gives random values to weights that a file does not have.
"""

import logging
import re
from collections.abc import Collection
from typing import Any

from transformers import PreTrainedModel

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError

logger = logging.getLogger(__name__)

# Weights that a message names.
NAMES_SHOWN = 4


def check_names(
    source: ModelSource, model: PreTrainedModel, report: Any, *, new_head: bool, exact: bool
) -> None:
    """Check that the file has the weights that the configuration describes.

    Args:
        source: the pretrained model.
        model: the loaded model.
        report: the names of missing, unexpected and mismatched weights, of transformers.
        new_head: whether weights of the head may be missing or mismatched.
        exact: whether no weights may be unexpected. By default, unexpected weights are a fault only
            if they are of layers that the configuration does not have.

    Raises:
        UserError: weights are missing, have another shape, or are unexpected.
    """
    head = {name for name in new_weights(report) if new_head and is_of_head(model, name)}
    layers = {without_numbers(model, name) for name in model.state_dict()}
    unexpected = {
        name
        for name in report["unexpected_keys"]
        if exact or without_numbers(model, name) in layers
    }
    faults = {
        "missing": report["missing_keys"] - head,
        "of another shape": {name for name, *_ in report["mismatched_keys"]} - head,
        "unexpected": unexpected,
    }
    if any(faults.values()):
        listed = "; ".join(
            f"{fault}: {enumerate_names(names)}" for fault, names in faults.items() if names
        )
        raise UserError(
            f"{source.model}: the weights are not those of config.json ({listed}); copy or fetch "
            "both from the same model, or correct the keys model and revision of the recipe"
        )
    if head:
        logger.info("%s: new weights of the head: %s", source.model, enumerate_names(head))
    if unused := report["unexpected_keys"]:
        logger.info("%s: weights that are not used: %s", source.model, enumerate_names(unused))


def new_weights(report: Any) -> set[str]:
    """Return the names of the weights that the file does not have in the right shape."""
    return report["missing_keys"] | {name for name, *_ in report["mismatched_keys"]}


def is_of_head(model: PreTrainedModel, name: str) -> bool:
    """Return whether a weight is of a classifier's head: outside of the encoder, or its pooler.

    Encoders without a head for sentences, such as those of masked language models, have no pooler.
    """
    parts = name.split(".")
    has_encoder = model.base_model is not model
    return has_encoder and (parts[0] != model.base_model_prefix or "pooler" in parts)


def without_numbers(model: PreTrainedModel, name: str) -> str:
    """Return the name of a weight without the base model's prefix and the numbers of layers."""
    return re.sub(r"\.\d+\.", ".N.", name.removeprefix(f"{model.base_model_prefix}."))


def enumerate_names(names: Collection[str]) -> str:
    """Return the first names in alphabetical order, and how many more there are."""
    first = ", ".join(sorted(names)[:NAMES_SHOWN])
    more = len(names) - NAMES_SHOWN
    return f"{first} and {more} more" if more > 0 else first


def check_values(source: ModelSource, model: PreTrainedModel) -> None:
    """Check that all weights are finite: a model computes nothing useful with others.

    Raises:
        UserError: a weight is NaN or infinite.
    """
    for name, weight in model.named_parameters():
        if weight.is_meta or not weight.is_floating_point() or not weight.numel():
            continue
        if not all(bound.isfinite() for bound in weight.detach().aminmax()):
            dtype = str(weight.dtype).removeprefix("torch.")
            raise UserError(
                f"{source.model}: the weight {name} has NaN or infinite values in {dtype}; copy or "
                "fetch the weights again, train the model again, or set a wider dtype"
            )
