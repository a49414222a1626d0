"""Recipes: YAML files config/<kind>/<name>.yaml, and which of their keys decide a result."""

import difflib
import functools
from pathlib import Path
from typing import Any, TypeVar

from pydantic.fields import FieldInfo

from aligners.configuration.fields import Recipe, Section
from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.datasets import DatasetRecipe
from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.kinds.external import ExternalRecipe
from aligners.configuration.kinds.imports import ImportRecipe
from aligners.configuration.kinds.inspectors import InspectorRecipe
from aligners.configuration.kinds.judges import JudgeRecipe
from aligners.configuration.kinds.llms import LLMRecipe, ServedRecipe
from aligners.configuration.kinds.pretrained import (
    ModelSource,
    PretrainedRecipe,
    find_model,
    is_gguf,
    on_the_hub,
)
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.validation import read_section
from aligners.configuration.workflow_files import files_in, find_file
from aligners.core.errors import UserError
from aligners.core.hashes import content_hash, quick_hash

CONFIG = Path("config")

R = TypeVar("R", bound=Recipe)

# The keys of config.yaml that name recipes, with the kind of recipe.
KINDS: dict[str, type[Recipe]] = {
    "criteria": CriterionRecipe,
    "data": ImportRecipe,
    "teacher": LLMRecipe,
    "synthesis": SynthesisRecipe,
    "encoder": EncoderRecipe,
    "inspectors": InspectorRecipe,
    "backbones": BackboneRecipe,
    "llms": LLMRecipe,
    "datasets": DatasetRecipe,
    "external": ExternalRecipe,
    "judges": JudgeRecipe,
}
# The wildcards of the targets that name recipes.
WILDCARDS: dict[str, type[Recipe]] = {
    "criterion": CriterionRecipe,
    "imported": ImportRecipe,
    "inspector": InspectorRecipe,
    "backbone": BackboneRecipe,
    "llm": LLMRecipe,
    "dataset": DatasetRecipe,
    "external": ExternalRecipe,
}
# The kinds by their folder under config/.
FOLDERS = {kind.folder: kind for kind in KINDS.values()}


def recipe_path(kind: type[Recipe], name: str) -> Path:
    """Return the file of a recipe: in the working directory, else in the workflow's own."""
    return find_file(CONFIG / kind.folder / f"{name}.yaml")


def check_recipe(kind: type[Recipe], name: str, where: str) -> None:
    """Check that a recipe exists.

    Args:
        kind, name: of the recipe.
        where: what names it, for the message.

    Raises:
        UserError: there is no such file.
    """
    if not recipe_path(kind, name).is_file():
        known = [file.stem for file in files_in(CONFIG / kind.folder, "*.yaml")]
        close = difflib.get_close_matches(name, known, n=1)
        if close:
            hint = f"did you mean {close[0]}?"
        elif known:
            hint = f"use one of {', '.join(known)}"
        else:  # such as a library that was installed without the workflow's files
            hint = f"run in a directory of the workflow, which has {CONFIG / kind.folder}"
        raise UserError(f"{where}: there is no recipe {recipe_path(kind, name)}; {hint}")


def load_recipe(kind: type[R], name: str) -> R:
    """Return the recipe config/<kind>/<name>.yaml, with defaults filled in.

    Raises:
        UserError: there is no such recipe, or it is invalid.
    """
    recipe: R = read_recipe(kind, name)
    return recipe


@functools.cache
def read_recipe(kind: type[Any], name: str) -> Any:
    """Read a recipe once."""
    path = recipe_path(kind, name)
    check_recipe(kind, name, str(path))
    return read_section(kind, path)


def deciding(value: Any) -> Any:
    """Return what decides a result in a value of a recipe.

    Left out are keys that do not decide, that are counted apart, and that have no value. A file
    counts by its content, and so does a local model.

    Raises:
        UserError: a model is in a Python package that is not installed.
    """
    if isinstance(value, Path):
        return content_hash(value)
    if not isinstance(value, Section):
        return value
    fields = type(value).model_fields
    counted = [name for name in fields if name not in value.counted_apart]
    values = {name: getattr(value, name) for name in counted if decides(fields[name])}
    if isinstance(value, PretrainedRecipe) and (files := value.local_files()):
        values["model"] = [[file.name, identity_hash(file)] for file in files]
    return {name: deciding(one) for name, one in values.items() if one is not None}


def identity_hash(path: Path) -> str:
    """Return a hash of a file of a model: by content, of weights in short."""
    is_settings = path.suffix in (".json", ".yaml")  # the closed world's judge is a YAML file
    return content_hash(path) if is_settings else quick_hash(path)


def decides(field: FieldInfo) -> bool:
    """Return whether a key decides a result."""
    extra = field.json_schema_extra
    return not (isinstance(extra, dict) and extra.get("decides") is False)


def deciding_recipe(kind: type[Recipe], name: str, *keys: str) -> Any:
    """Return the deciding part of a recipe, or of one key of it."""
    value: Any = load_recipe(kind, name)
    for key in keys:
        value = getattr(value, key)
    return deciding(value)


def hub_source(recipe: Recipe) -> ModelSource | None:
    """Return the model of the Hub that a recipe names; None if it names none."""
    if not isinstance(recipe, PretrainedRecipe) or recipe.model is None:
        return None
    return recipe.source() if on_the_hub(recipe.model) else None


def gguf_file(recipe: Recipe) -> Path | None:
    """Return the GGUF file of a recipe that is converted; None if there is none.

    A server reads its GGUF file itself.

    Raises:
        UserError: it is in a Python package that is not installed, or that lacks it.
    """
    if not isinstance(recipe, PretrainedRecipe) or isinstance(recipe, ServedRecipe):
        return None
    if recipe.model is None or not is_gguf(recipe.model):
        return None
    return find_model(recipe.model)
