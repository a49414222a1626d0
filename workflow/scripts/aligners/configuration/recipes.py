"""Recipes and configurations: YAML files under config/, each kind with a schema of its own.

The schemas (workflow/schemas/<kind>.schema.yaml) describe every key, give the defaults and refuse
unknown keys. Two annotations of theirs matter elsewhere: `decides: false` marks a key that does not
decide a result, and `format: file` a path whose content counts, not its name.
"""

import difflib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from aligners.core.errors import UserError
from aligners.core.hashes import content_hash
from aligners.core.yaml_files import read_yaml

SCHEMAS = Path(__file__).parents[3] / "schemas"
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
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}
# What the prompt of a judge has a place for.
JUDGED_TEXTS = ("{instruction}", "{output_1}", "{output_2}")
RESERVED = {
    "all",
    "base",
    "finetuned",
    "squad",
    "squad-paper",
    "conditioned",
    "squad-conditioned",
}

Recipe = dict[str, Any]


@functools.cache
def schema(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of a kind of file, references within it replaced by their rules."""
    loaded = read_yaml(SCHEMAS / f"{kind}.schema.yaml")
    rules: dict[str, Any] = resolve(loaded, loaded.get("$defs", {}))
    return rules


def resolve(rules: Any, definitions: dict[str, Any]) -> Any:
    """Replace each `$ref: "file#/$defs/name"` by the definition; keys beside it take precedence.

    Without a file, the definition is one of those given; a file is named from `SCHEMAS`.
    """
    if isinstance(rules, list):
        return [resolve(item, definitions) for item in rules]
    if not isinstance(rules, dict):
        return rules
    if "$ref" in rules:
        own = {key: value for key, value in rules.items() if key != "$ref"}
        file, _, name = rules["$ref"].partition("#/$defs/")
        known = shared_definitions(file) if file else definitions
        rules = {**known[name], **own}
    return {key: resolve(value, definitions) for key, value in rules.items()}


@functools.cache
def shared_definitions(file: str) -> dict[str, Any]:
    """Return what a file of definitions, named from `SCHEMAS`, defines for several schemas."""
    definitions: dict[str, Any] = read_yaml(SCHEMAS / file)["$defs"]
    return definitions


def with_defaults(value: Any, rules: dict[str, Any]) -> Any:
    """Return a copy of a value in which missing keys have the defaults of the schema."""
    if not isinstance(value, dict):
        return value
    filled = dict(value)
    for key, rule in rules.get("properties", {}).items():
        if key not in filled and "default" in rule:
            filled[key] = rule["default"]
        if key in filled:
            filled[key] = with_defaults(filled[key], rule)
    return filled


def explain(error: ValidationError) -> str:
    """Say in one sentence what is wrong with a value, and what would be right."""
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {}))
        unknown = [key for key in error.instance if key not in known]
        close = difflib.get_close_matches(str(unknown[0]), known, n=1)
        hint = f"did you mean {close[0]}?" if close else f"the keys are {', '.join(known)}"
        return f"unknown key {unknown[0]}; {hint}"
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return f"the key {missing[0]} is missing; add it"
    if error.validator == "enum":
        choices = ", ".join(map(str, error.validator_value))
        return f"{error.instance!r} is unknown; it is one of {choices}"
    if error.validator == "uniqueItems":
        twice = next(name for name in error.instance if error.instance.count(name) > 1)
        return f"{twice!r} is named twice; name it once"
    if error.validator == "dependentRequired":
        key = next(key for key in error.validator_value if key in error.instance)
        return f"the key {key} needs {', '.join(error.validator_value[key])} beside it; add it"
    if error.validator in BOUNDS:
        limits = [
            f"{word} {error.schema[key]}" for key, word in BOUNDS.items() if key in error.schema
        ]
        return f"{error.instance} is out of range; make it {' and '.join(limits)}"
    if error.validator == "type":
        return f"{error.instance!r} is not of type {error.validator_value}; give one that is"
    if error.validator in ("minLength", "minItems"):
        return f"{error.instance!r} is too short; fill it in, or remove it"
    if error.validator in ("oneOf", "anyOf", "not"):
        return f"the keys do not go together: {error.schema.get('description')}"
    if error.validator == "pattern":
        return f"{error.instance!r} is not right here: {error.schema.get('description')}"
    return error.message


def validate(kind: str, value: dict[str, Any], source: Path) -> Recipe:
    """Return the value with defaults filled in, if the schema of its kind accepts it.

    Raises:
        UserError: names the file and the key, says what is wrong and what to do.
    """
    filled: Recipe = with_defaults(value, schema(kind))
    errors = sorted(Draft202012Validator(schema(kind)).iter_errors(filled), key=lambda e: e.path)
    if errors:
        key = ".".join(map(str, errors[0].absolute_path))
        where = f"{source}, key {key}" if key else str(source)
        raise UserError(f"{where}: {explain(errors[0])}")
    for key, path in file_keys(filled, schema(kind)):
        if not Path(path).is_file():
            raise UserError(f"{source}, key {key}: there is no file {path}; mend the path")
    return filled


def file_keys(value: Any, rules: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, path) of every value that the schema marks `format: file`."""
    for key, rule in rules.get("properties", {}).items():
        if not isinstance(value, dict) or value.get(key) is None:
            continue
        if rule.get("format") == "file":
            yield key, value[key]
        yield from file_keys(value[key], rule)


def recipe_path(kind: str, name: str) -> Path:
    """Return the file of a recipe."""
    return CONFIG / kind / f"{name}.yaml"


def check_recipe(kind: str, name: str, where: str) -> None:
    """Refuse a name that has no recipe; `where` says what names it."""
    if not recipe_path(kind, name).is_file():
        known = sorted(file.stem for file in (CONFIG / kind).glob("*.yaml"))
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


def base_llms(config: Recipe) -> list[str]:
    """Return the LLMs of a configuration that are aligned: those with a finetuned partner."""
    return [name for name in config["llms"] if load_recipe("llms", name).get("finetuned")]


def validate_experiment(config: dict[str, Any], source: Path) -> Recipe:
    """Validate a configuration, every recipe that it names, and how they fit together.

    Raises:
        UserError: on the first thing that is wrong.
    """
    config = validate("config", config, source)
    for key, kind in KINDS.items():
        names = config[key] if isinstance(config[key], list) else [config[key]]
        for name in names:
            if name in RESERVED:
                raise UserError(f"{source}, key {key}: {name!r} is a reserved word; rename it")
            check_recipe(kind, name, f"{source}, key {key}")
            load_recipe(kind, name)
    for kind in ("backbones", "external"):
        for name in config[kind]:
            check_lengths(kind, name)
    check_names_differ(config, source)
    check_partners(config, source)
    for name in config["judges"]:
        check_judge_recipe(name)
    check_split(config, source)
    return config


def check_lengths(kind: str, name: str) -> None:
    """Refuse a recipe whose new tokens leave no room for the prompt."""
    recipe = load_recipe(kind, name)
    limit, new = recipe["max_tokens"], recipe["decoding"]["max_new_tokens"]
    if new >= limit:
        raise UserError(
            f"{recipe_path(kind, name)}, key decoding.max_new_tokens: {new} new tokens leave no "
            f"room for the prompt in max_tokens {limit}; lower it"
        )


def check_names_differ(config: Recipe, source: Path) -> None:
    """Refuse a criterion and an external aligner of one name: both name aligners in paths."""
    for name in set(config["criteria"]) & set(config["external"]):
        raise UserError(f"{source}: {name!r} is a criterion and an external aligner; rename one")


def check_partners(config: Recipe, source: Path) -> None:
    """Refuse a base LLM without a finetuned chat LLM, and a trained external without backbone."""
    for name in base_llms(config):
        partner = load_recipe("llms", name)["finetuned"]
        if partner not in config["llms"]:
            raise UserError(
                f"{source}, key llms: {name} needs its finetuned partner {partner}; add it"
            )
        if not load_recipe("llms", partner)["chat"]:
            raise UserError(
                f"{recipe_path('llms', name)}, key finetuned: {partner} is no chat LLM; "
                "name one, or set chat: true in its recipe"
            )
    if not base_llms(config):
        raise UserError(
            f"{source}, key llms: none of them names a finetuned partner; add a base LLM"
        )
    for name in config["external"]:
        train = load_recipe("external", name).get("train")
        if train and train["backbone"] not in config["backbones"]:
            raise UserError(
                f"{source}, key backbones: the external aligner {name} is trained on "
                f"{train['backbone']}; add it"
            )


def check_judge_recipe(name: str) -> None:
    """Refuse a judge whose LLM cannot be asked as AlpacaEval asks, or whose prompt lacks a text."""
    recipe, path = load_recipe("judges", name), recipe_path("judges", name)
    if "llm" not in recipe:
        return
    check_recipe("llms", recipe["llm"], f"{path}, key llm")
    llm = load_recipe("llms", recipe["llm"])
    if llm["engine"] not in ("openai", "served") or not llm["chat"]:
        raise UserError(
            f"{path}, key llm: {recipe['llm']} is not asked by messages over OpenAI's API; name an "
            "LLM with chat: true whose engine is openai or served"
        )
    labels = list(recipe["labels"].values())
    for label in labels:
        if sum(label in other for other in labels) > 1:
            raise UserError(
                f"{path}, key labels: {label!r} stands in another label as well; take labels that "
                "cannot be mistaken for each other"
            )
    prompt = Path(recipe["prompt"]).read_text(encoding="utf-8")
    for text in JUDGED_TEXTS:
        if prompt.count(text) != 1:
            raise UserError(
                f"{path}, key prompt: {recipe['prompt']} has {text} {prompt.count(text)} times; it "
                "has to be there once"
            )


def check_split(config: Recipe, source: Path) -> None:
    """Refuse shares of the split that do not add up to one."""
    total = sum(config["split"].values())
    if abs(total - 1) > 1e-9:
        raise UserError(f"{source}, key split: the shares add up to {total:g}; make it 1")


def is_on_the_hub(recipe: Recipe) -> bool:
    """Tell whether a recipe names a model of the Hub that a job loads, or a server that it starts.

    A directory, a Python package, a model behind an endpoint and new weights are none.
    """
    model = recipe.get("model")
    if not model or recipe.get("engine") == "openai":
        return False
    return not looks_local(model) and not Path(model).exists()


def looks_local(model: str) -> bool:
    """Tell whether the name of a model is a path."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1
