"""Schemas: what each kind of YAML file under config/ may say, with defaults and messages."""

import difflib
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError

from aligners.configuration.workflow_files import WORKFLOW, find_file
from aligners.core.errors import UserError
from aligners.core.yaml_files import read_yaml

SCHEMAS = WORKFLOW / "workflow/schemas"
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "above", "maximum": "at most"}

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
    """Return the value with defaults filled in and its files found, if the schema accepts it.

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
        if not find_file(path).is_file():
            raise UserError(f"{source}, key {key}: there is no file {path}; mend the path")
    found: Recipe = with_found_files(filled, schema(kind))
    return found


def with_found_files(value: Any, rules: dict[str, Any]) -> Any:
    """Return a copy of a value in which `format: file` paths lead to where the files are found."""
    if rules.get("format") == "file" and value is not None:
        return str(find_file(value))
    if not isinstance(value, dict):
        return value
    properties = rules.get("properties", {})
    return {key: with_found_files(item, properties.get(key, {})) for key, item in value.items()}


def file_keys(value: Any, rules: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield (key, path) of every value that the schema marks `format: file`."""
    for key, rule in rules.get("properties", {}).items():
        if not isinstance(value, dict) or value.get(key) is None:
            continue
        if rule.get("format") == "file":
            yield key, value[key]
        yield from file_keys(value[key], rule)
