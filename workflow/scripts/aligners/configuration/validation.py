"""Validation: the content of a YAML file as a typed object, or a message about the first error."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aligners.configuration.fields import Recipe, Section
from aligners.core.errors import UserError
from aligners.core.yaml_files import find_line, read_yaml

DECIDES = False

# The types of values in messages, where Pydantic's words are Python's.
TYPES = {
    "bool_type": "true or false",
    "dict_type": "a mapping of keys to values",
    "list_type": "a list",
    "model_type": "a mapping of keys to values",
    "string_type": "a text",
}

S = TypeVar("S", bound=Section)
Keys = tuple[int | str, ...]


def read_section(kind: type[S], path: Path) -> S:
    """Read a YAML file of a kind.

    Raises:
        UserError: the file cannot be read, or `validate` finds an error.
    """
    return validate(kind, read_yaml(path), path)


def validate(kind: type[S], values: Mapping[str, Any], *sources: Path) -> S:
    """Return values as an object of their kind, with defaults filled in and its files found.

    Args:
        kind: a class of `aligners.configuration.kinds`.
        values: content of a YAML file, or of several that are merged.
        sources: those files; the first one overrides the others.

    Raises:
        UserError: names file, line, key and value of the first error, and what to do.
    """
    chosen: type[Any] = kind.class_for(dict(values)) if issubclass(kind, Recipe) else kind
    try:
        return chosen.model_validate(dict(values))  # type: ignore[no-any-return]
    except ValidationError as invalid:
        # First an unknown key: a misspelt one is also missing.
        error = min(invalid.errors(), key=lambda error: error["type"] != "extra_forbidden")
        raise UserError(f"{place(error['loc'], sources)}: {explain(error, chosen)}") from None


def place(keys: Keys, sources: Sequence[Path]) -> str:
    """Return where the value of some keys is: the file, the line and the key."""
    key = f", key {'.'.join(map(str, keys))}" if keys else ""
    for path in sources:
        if line := find_line(path, keys):
            return f"{path}, line {line}{key}"
    return f"{sources[0]}{key}"


def explain(error: ErrorDetails, kind: type[Section]) -> str:
    """Return what is wrong with a value, and what to do."""
    *parents, key = error["loc"] or ("",)
    value = shortened(error["input"])
    if error["type"] == "extra_forbidden":
        return explain_unknown_key(str(key), section_at(kind, parents))
    if error["type"] == "missing":
        return f"the key {key} is missing; add it"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    if error["type"] in ("too_short", "string_too_short"):
        unit = "characters" if error["type"] == "string_too_short" else "items"
        return f"{value} is too short; it has to have at least {error['ctx']['min_length']} {unit}"
    wanted = TYPES.get(error["type"], error["msg"].removeprefix("Input should be "))
    if error["type"] == "literal_error":
        close = difflib.get_close_matches(str(error["input"]), wanted.split("'")[1::2], n=1)
        return f"{value} is unknown; " + (f"did you mean {close[0]}?" if close else f"use {wanted}")
    if isinstance(error["input"], str) and is_number(error["input"]):
        return f"{value} is a text, not a number; write {float(error['input'])!r} without quotes"
    return f"{value} is not accepted; it has to be {wanted}"


def explain_unknown_key(key: str, section: type[Section]) -> str:
    """Return what to do about a key that a section does not have."""
    known = list(section.model_fields)
    if close := difflib.get_close_matches(key, known, n=1):
        return f"unknown key {key}; did you mean {close[0]}?"
    for other in related(section):
        if key in other.model_fields and other.chosen_by:
            return f"unknown key {key}; only a recipe with `{other.chosen_by}` has it; remove it"
    return f"unknown key {key}; remove it, or use one of {', '.join(known)}"


def related(section: type[Section]) -> list[type[Recipe]]:
    """Return the classes of the same kind of recipe."""
    if not issubclass(section, Recipe):
        return []
    found: list[type[Recipe]] = [
        one for one in section.__mro__ if issubclass(one, Recipe) and "folder" in vars(one)
    ]
    for one in found:
        found += [sub for sub in one.__subclasses__() if sub not in found]
    return found


def section_at(kind: type[Section], keys: Sequence[int | str]) -> type[Section]:
    """Return the class of the mapping at some keys of a kind."""
    for key in keys:
        if isinstance(key, str) and key in kind.model_fields:
            kind = nested(kind.model_fields[key].annotation) or kind
    return kind


def nested(annotation: Any) -> type[Section] | None:
    """Return the section in the type of a key: itself, an item of a list, or an alternative."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation
    return next(filter(None, map(nested, get_args(annotation))), None)


def is_number(text: str) -> bool:
    """Return whether a text is a number in quotes, or one that YAML 1.1 reads as text (1e-5)."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def shortened(value: Any) -> str:
    """Return a value as Python writes it, at most some 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
