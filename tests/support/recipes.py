"""Recipes that tests write as keys."""

from pathlib import Path
from typing import Any, TypeVar

from aligners.configuration.fields import Recipe, Section
from aligners.configuration.validation import validate

R = TypeVar("R", bound=Recipe)
S = TypeVar("S", bound=Section)


def make_recipe(kind: type[R], **values: Any) -> R:
    """Return a recipe with these keys, and defaults for the others."""
    return validate(kind, values, Path("test.yaml"))


def changed(section: S, **values: Any) -> S:
    """Return a recipe or a configuration with other values of some keys."""
    kept = section.model_dump(mode="json", exclude_none=True)
    return validate(type(section), {**kept, **values}, Path("test.yaml"))
