"""Base classes and types of keys that several kinds of files share."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
)
from pydantic_core import CoreSchema, core_schema

from aligners.configuration.workflow_files import find_file

# The values of recipes are part of a fingerprint; their descriptions and checks are not.
DECIDES = False

T = TypeVar("T")
Self = TypeVar("Self", bound="Recipe")


class Section(BaseModel):
    """A mapping in a YAML file.

    Unknown keys, infinite numbers and values of other types are errors. The text below a key
    describes it; `aligners.configuration.documentation` reads these texts.
    """

    model_config = ConfigDict(
        extra="forbid",
        strict=True,  # "3" is not 3, and 3.0 is not an integer
        frozen=True,
        allow_inf_nan=False,
        defer_build=True,  # most programs use few kinds
    )


# A key that affects speed, access or reports, but no result. If it changes, no job runs again.
NotDeciding = Annotated[T, Field(json_schema_extra={"decides": False})]


class Recipe(Section):
    """A file config/<folder>/<name>.yaml.

    Attributes:
        chosen_by: the key and value that choose this class, such as `engine: openai`, where a kind
            has several classes.
    """

    folder: ClassVar[str]
    chosen_by: ClassVar[str] = ""

    description: NotDeciding[str] = ""
    """One line that describes the recipe."""

    @classmethod
    def class_for(cls: type[Self], values: dict[str, Any]) -> type[Self]:
        """Return the class for the values of a recipe, where a kind has several classes."""
        return cls


@dataclass(frozen=True)
class Form:
    """The form of a text: a regular expression, and its description for messages."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": self.pattern}

    def check(self, text: str) -> str:
        """Return a text of this form.

        Raises:
            ValueError: it has another form.
        """
        # `$` also matches before a line feed at the end.
        ends = not (self.pattern.endswith("$") and text.endswith("\n"))
        if not (ends and re.search(self.pattern, text)):
            raise ValueError(f"{text!r} is not {self.words}; correct it")
        return text


def existing_file(path: Any) -> Any:
    """Return the path of a file in the working directory, else of the workflow's own.

    Raises:
        ValueError: there is no such file.
    """
    if not isinstance(path, str):
        return path
    found = find_file(path)
    if not os.path.isfile(found):  # a name that is too long does not exist
        raise ValueError(f"there is no file {path}; correct the path")
    return found


def differ(items: list[T]) -> list[T]:
    """Return a list whose items all differ.

    Raises:
        ValueError: an item occurs twice.
    """
    for item in items:
        if items.count(item) > 1:
            raise ValueError(f"{item!r} occurs twice; remove one of them")
    return items


def together(recipe: BaseModel, *names: str) -> None:
    """Check that all or none of several keys are given.

    Raises:
        ValueError: some are given, and one is not.
    """
    missing = [name for name in names if getattr(recipe, name) is None]
    if missing and len(missing) < len(names):
        given = next(name for name in names if name not in missing)
        raise ValueError(f"the key {given} needs the key {missing[0]} too; add {missing[0]}")


def exactly_one(recipe: BaseModel, *names: str) -> None:
    """Check that exactly one of several keys is given.

    Raises:
        ValueError: none or several are given.
    """
    given = [name for name in names if getattr(recipe, name) is not None]
    if len(given) != 1:
        found = (
            f"the keys {' and '.join(given)} exclude each other" if given else "a key is missing"
        )
        raise ValueError(f"{found}; give either {' or '.join(names)}")


Text = Annotated[str, Form(r"\S", "a text that is not blank")]
Name = Annotated[
    str,
    Form(
        # name.dropped.jsonl has the dropped rows of name.jsonl.
        r"^[a-z0-9][a-z0-9._-]*(?<!\.dropped)$",
        "a name of lower-case letters, digits, dots, hyphens and underscores, without `.dropped` "
        "at its end",
    ),
]
Names = Annotated[list[Name], AfterValidator(differ)]
Share = Annotated[float, Field(ge=0, le=1)]
# The content of the file decides a result, not its name.
File = Annotated[Path, BeforeValidator(existing_file)]
