"""Recipes: YAML files config/<kind>/<name>.yaml, each kind with a schema of its own.

The schemas (workflow/schemas/<kind>.schema.yaml) describe every key, give the defaults and refuse
unknown keys. Two annotations of theirs matter elsewhere: `decides: false` marks a key that does not
decide a result, and `format: file` a path whose content counts, not its name.
"""

import difflib
import functools
from pathlib import Path
from typing import Any

from aligners.configuration.schemas import Recipe, schema, validate
from aligners.configuration.workflow_files import files_in, find_file
from aligners.core.errors import UserError
from aligners.core.hashes import content_hash
from aligners.core.yaml_files import read_yaml

CONFIG = Path("config")

# The keys of config.yaml that name recipes, with the directory under config/ that holds them.
KINDS = {
    "criteria": "criteria",
    "teacher": "llms",
    "synthesis": "synthesis",
    "encoder": "encoders",
    "inspectors": "inspectors",
    "backbones": "backbones",
    "llms": "llms",
    "datasets": "datasets",
    "external": "external",
    "judges": "judges",
}
# The wildcards of the targets that name recipes.
WILDCARDS = {
    "criterion": "criteria",
    "inspector": "inspectors",
    "backbone": "backbones",
    "llm": "llms",
    "dataset": "datasets",
    "external": "external",
}


def recipe_path(kind: str, name: str) -> Path:
    """Return the file of a recipe: in the working directory, else in the workflow's own."""
    return find_file(CONFIG / kind / f"{name}.yaml")


def check_recipe(kind: str, name: str, where: str) -> None:
    """Refuse a name that has no recipe; `where` says what names it."""
    if not recipe_path(kind, name).is_file():
        known = [file.stem for file in files_in(CONFIG / kind, "*.yaml")]
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(known) or 'none'}"
        raise UserError(f"{where}: there is no recipe {recipe_path(kind, name)}; {hint}")


@functools.cache
def load_recipe(kind: str, name: str) -> Recipe:
    """Load and validate config/<kind>/<name>.yaml, with defaults filled in.

    Raises:
        UserError: no such recipe, or its schema refuses it.
    """
    path = recipe_path(kind, name)
    check_recipe(kind, name, str(path))
    return validate(kind, read_yaml(path), path)


def deciding(value: Any, rules: dict[str, Any]) -> Any:
    """Return what decides a result in a recipe: no key marked so, and files by their content."""
    if rules.get("format") == "file" and value is not None:
        return content_hash(Path(value))
    if not isinstance(value, dict):
        return value
    properties = rules.get("properties", {})
    return {
        key: deciding(item, properties.get(key, {}))
        for key, item in value.items()
        if properties.get(key, {}).get("decides", True)
    }


def deciding_recipe(kind: str, name: str, *keys: str) -> Any:
    """Return the deciding part of a recipe, or of one key of it."""
    recipe, rules = load_recipe(kind, name), schema(kind)
    for key in keys:
        recipe, rules = recipe[key], rules["properties"][key]
    return deciding(recipe, rules)


def is_on_the_hub(recipe: Recipe) -> bool:
    """Tell whether a recipe names a model of the Hub that a job loads, or a server that it starts.

    A directory, a Python package, a model behind an endpoint and new weights are none.
    """
    model = recipe.get("model")
    if not model or recipe.get("engine") == "openai":
        return False
    return not looks_local(model) and not find_file(model).exists()


def looks_local(model: str) -> bool:
    """Tell whether the name of a model is a path."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1
