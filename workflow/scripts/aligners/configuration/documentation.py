"""Writes JSON Schemas, and tables of keys for config/README.md, from the classes in kinds/."""

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from types import NoneType
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo

from aligners.configuration.fields import Recipe, Section
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.criteria import Principles, SeedQuestions
from aligners.configuration.kinds.worlds import WorldFile
from aligners.configuration.recipes import FOLDERS, decides
from aligners.configuration.validation import nested, related

AFFECTS_RESULTS = False

# What is documented, by the name of the schema.
KINDS: dict[str, type[Section]] = {
    "config": Config,
    **dict(sorted(FOLDERS.items())),
    "principles": Principles,
    "seed_questions": SeedQuestions,
    "world": WorldFile,
}
TITLES = {
    "config": "config.yaml",
    "principles": "The file of principles",
    "seed_questions": "The file of seed questions",
    "world": "The file of a closed world",
}


def classes(kind: type[Section]) -> list[type[Section]]:
    """Return the classes of a kind that files can have: one, or one for each engine or source."""
    chosen = [one for one in related(kind) if one.chosen_by]
    return [*chosen] or [kind]


def json_schema(kind: type[Section]) -> str:
    """Return the JSON Schema of a kind of file. `decides: false` marks keys that do not decide."""
    for one in classes(kind):
        describe(one)
    alternatives: Any = Union[tuple(classes(kind))]  # noqa: UP007
    schema = TypeAdapter(alternatives).json_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def describe(section: type[Section]) -> None:
    """Give each key of a section, and of the sections in it, the text below it as description.

    Pydantic can do this when a class is made (`use_attribute_docstrings`), but it takes 0.06 s in
    every job.
    """
    texts = {}
    for one in reversed(section.__mro__):
        if issubclass(one, Section):
            texts.update(attribute_docstrings(one))
    for name, field in section.model_fields.items():
        if name in texts:
            field.description = texts[name]
        if inner := nested(field.annotation):
            describe(inner)
    section.model_rebuild(force=True)


def attribute_docstrings(section: type[Section]) -> dict[str, str]:
    """Return the texts below the keys of a class, each in one line."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(section)))
    body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
    return {
        key.target.id: " ".join(text.value.value.split())
        for key, text in pairwise(body)
        if isinstance(key, ast.AnnAssign)
        and isinstance(key.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def key_tables() -> str:
    """Return the sections of config/README.md with the keys of every kind of file."""
    return "\n".join(line for name in KINDS for line in kind_section(name))


def kind_section(name: str) -> Iterator[str]:
    """Yield the lines of the section of a kind: its description and its tables of keys."""
    kind = KINDS[name]
    yield f"## {TITLES.get(name, name)}\n"
    yield " ".join((inspect.getdoc(kind) or "").split()) + "\n"
    yield table(kind, {"description"} if issubclass(kind, Recipe) else set())
    for one in classes(kind):
        if one is not kind and issubclass(one, Recipe):
            yield f"### {name} with `{one.chosen_by}`\n"
            yield f"{inspect.getdoc(one)}\n"
            yield table(one, set(kind.model_fields))


def table(section: type[Section], without: set[str]) -> str:
    """Return the Markdown table of the keys of a section; nothing if it has no others."""
    describe(section)
    rows = [
        f"| `{key}`{mark} | {meaning(field)} | {default(field)} |"
        for key, field, mark in keys(section)
        if key.split(".")[0] not in without
    ]
    head = ["| key | meaning | default |", "| --- | --- | --- |"]
    return "\n".join([*head, *rows, ""]) if rows else ""


def keys(
    section: type[Section], prefix: str = "", mark: str = ""
) -> Iterator[tuple[str, FieldInfo, str]]:
    """Yield each key of a section as `outer.inner`, its field, and ° if it does not decide."""
    for name, field in section.model_fields.items():
        own = mark if decides(field) else "°"
        yield prefix + name, field, own
        if inner := nested(field.annotation):
            yield from keys(inner, f"{prefix}{name}.", own)


def meaning(field: FieldInfo) -> str:
    """Return the description of a key, with its values if they can be listed."""
    values = [value for value in choices(field.annotation) if value is not NoneType]
    listed = f" One of {', '.join(f'`{value}`' for value in values)}." if len(values) > 1 else ""
    return f"{field.description or ''}{listed}"


def choices(annotation: Any) -> list[Any]:
    """Return the values of a type that lists them (`Literal`)."""
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [value for inner in get_args(annotation) for value in choices(inner)]


def default(field: FieldInfo) -> str:
    """Return the default of a key as YAML, or nothing if there is none to show."""
    if field.is_required() or nested(field.annotation):
        return ""
    # A factory that takes the other keys gets their defaults.
    value = field.get_default(call_default_factory=True, validated_data={})
    shown = value if isinstance(value, str) and "\n" not in value else json.dumps(value)
    return f"`{shown}`" if shown else ""
