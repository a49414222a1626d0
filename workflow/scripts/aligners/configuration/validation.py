"""Validation: the content of a YAML file as a typed object, or a message about the first error."""

import difflib
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aligners.configuration.fields import Recipe, Section, WrongKey, shortened
from aligners.core.errors import UserError
from aligners.core.yaml_files import find_line, read_yaml

AFFECTS_RESULTS = False


# Larger numbers are accepted nowhere, and a message would only show many digits.
LARGEST_WRITTEN = 1e15

# Of a value: None is one that a file can have.
UNKNOWN = object()

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
        problem = error.get("ctx", {}).get("error")
        inner = problem.keys if isinstance(problem, WrongKey) else ()
        keys = (*keys_in(values, error["loc"]), *inner)
        if error["loc"][-1:] == ("[key]",):
            error["type"] = "invalid_key"
        # Else the input is the mapping around the key, or the key itself.
        is_value = not inner and error["type"] not in ("missing", "invalid_key")
        where = place(keys, sources, error["input"] if is_value else UNKNOWN)
        raise UserError(f"{where}: {explain(error, keys, chosen)}") from None


def keys_in(values: Any, location: Keys) -> Keys:
    """Return the keys at the location of an error; Pydantic appends names of types to them."""
    inner: Any = values
    for depth, key in enumerate(location):
        try:
            inner = inner[key]
        except KeyError:  # a missing key, or the name of a type
            is_last = depth == len(location) - 1
            return location[: depth + 1] if is_last else location[:depth]
        except (TypeError, IndexError):
            return location[:depth]
    return location


def place(keys: Keys, sources: Sequence[Path], value: Any = UNKNOWN) -> str:
    """Return where a value is: the file, the line and the key.

    Args:
        keys: from the outermost to the key of the value.
        sources: files that may have the key, the first over all others.
        value: the value, if it is known; a file that has another one is not where it comes from.
    """
    key = f", key {'.'.join(map(str, keys))}" if keys else ""
    # Snakemake reads numbers within a section there as texts.
    only_files = "; use --configfile for a section" if len(keys) > 1 else ""
    command_line = f"command line (--config{only_files}){key}"
    for path in sources:
        if line := find_line(path, keys):
            is_here = value is UNKNOWN or repr(value_at(read_yaml(path), keys)) == repr(value)
            return f"{path}, line {line}{key}" if is_here else command_line
    if keys and value is not UNKNOWN and all(path.is_file() for path in sources):
        return command_line
    for path in sources:  # A missing key: the line of the mapping that lacks it.
        if line := find_line(path, keys[:-1]):
            return f"{path}, line {line}{key}"
    return f"{sources[0]}{key}"


def value_at(values: Any, keys: Keys) -> Any:
    """Return the value at some keys that a file has."""
    for key in keys:
        values = values[key]
    return values


# What Pydantic's messages of these types do not put into plain words.
WANTED = {
    "model_type": "a mapping of keys to values",
    "dict_type": "a mapping of keys to values",
    "list_type": "a list",
    "bool_type": "true or false",
    "is_instance_of": "the path of a file",
    "string_too_short": "a text that is not empty",
    "too_short": "a list that is not empty",
    "int_type": "an integer",
    "float_type": "a number",
    "string_type": "a text",
    "int_parsing_size": "a smaller integer",
}


def explain(error: ErrorDetails, keys: Keys, kind: type[Section]) -> str:
    """Return what is wrong with the value at some keys, and what to do."""
    *parents, key = keys or ("",)
    given, value = error["input"], shortened(error["input"])
    if error["type"] == "extra_forbidden":
        return explain_unknown_key(str(key), section_at(kind, parents))
    if error["type"] == "missing":
        chosen_by = [one.chosen_by for one in related(kind) if one.chosen_by]
        return (
            f"the key {key} is missing; add {' or '.join(chosen_by) if key in chosen_by else 'it'}"
        )
    if error["type"] == "invalid_key":
        return f"the key {value} is not a text; put it in quotes"
    if error["type"] == "value_error":
        return str(error["ctx"]["error"])
    wanted = WANTED.get(error["type"], error["msg"].removeprefix("Input should be "))
    if error["type"] == "literal_error":
        close = difflib.get_close_matches(str(given), wanted.split("'")[1::2], n=1)
        return f"{value} is unknown; " + (f"did you mean {close[0]}?" if close else f"use {wanted}")
    if error["type"] == "string_type" and not isinstance(given, dict | list):
        return f"{value} is not a text; put it in quotes"
    if error["type"] in ("int_type", "float_type") and (number := as_number(given, error["type"])):
        if isinstance(given, float):
            return f"{value} is not an integer; write {number}"
        return f"{value} is a text, not a number; write {number} without quotes"
    return f"{value} is not accepted; it has to be {wanted[:1].lower()}{wanted[1:]}"


def explain_unknown_key(key: str, section: type[Section]) -> str:
    """Return what to do about a key that a section does not have."""
    known = list(section.model_fields)
    for other in related(section):
        if key in other.model_fields and other.chosen_by:
            return f"unknown key {key} here; it belongs to `{other.chosen_by}`; remove it"
    if close := difflib.get_close_matches(key, known, n=1):
        return f"unknown key {key}; did you mean {close[0]}?"
    return f"unknown key {key}; the keys are {', '.join(known)}"


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


def as_number(value: Any, error_type: str) -> str:
    """Return how a value of another type is written as a number; empty if it stands for none.

    YAML 1.1 reads 1e-5 as a text, since it has no point.
    """
    try:
        number = float(value) if isinstance(value, str | float) else math.nan
    except ValueError:
        return ""
    if not abs(number) < LARGEST_WRITTEN:  # also NaN
        return ""
    if error_type == "int_type":
        return str(int(number)) if number.is_integer() else ""
    return repr(number)
