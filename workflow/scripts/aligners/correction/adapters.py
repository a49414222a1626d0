"""The adapters of aligners, which a server applies to their backbone."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.core.errors import UserError
from aligners.core.rows import read_json
from aligners.correction.input_format import InputFormat

# In the directory of an aligner, beside the merged weights.
ADAPTER = "adapter"
CONFIG = "adapter_config.json"


class AdapterConfig(BaseModel):
    """What an adapter's configuration, which peft wrote, says about its backbone."""

    base_model_name_or_path: str
    revision: str | None = None


def can_be_served(recipe: BackboneRecipe, input_format: InputFormat) -> bool:
    """Return whether servers can apply an adapter to the backbone of a recipe.

    A backbone with random weights is not kept, and servers do not add tokens to a backbone.
    """
    return bool(recipe.lora and recipe.model and not input_format.added_tokens)


def common_base(adapters: Sequence[Path]) -> tuple[str, str]:
    """Return the backbone of adapters and its revision.

    Raises:
        UserError: a directory has no adapter, or the backbones differ.
    """
    bases: dict[tuple[str, str], Path] = {}
    for adapter in adapters:
        path = adapter / CONFIG
        if not path.is_file():
            raise UserError(
                f"{adapter.parent}: there is no {ADAPTER}/{CONFIG}, and the key inference.command "
                "has {adapters}; train this aligner with lora and format: plain, on a pretrained "
                "backbone, or remove {adapters} from the command"
            )
        config = read_json(path, AdapterConfig)
        base = config["base_model_name_or_path"], config["revision"] or "main"
        bases.setdefault(base, adapter)
    if len(bases) > 1:
        (first, _), (second, _) = list(bases)[:2]
        one, other = list(bases.values())[:2]
        raise UserError(
            f"{one.parent} and {other.parent}: their adapters have different backbones, {first} "
            f"and {second}, which one server cannot have; train both on one backbone, or remove "
            "{adapters} from the key inference.command"
        )
    return next(iter(bases))
