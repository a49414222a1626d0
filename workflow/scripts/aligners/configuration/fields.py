"""Base classes and types of keys that several kinds of files share."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
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
    model_validator,
)
from pydantic_core import CoreSchema, core_schema

from aligners.configuration.workflow_files import find_file

# The values of recipes are part of a fingerprint; their descriptions and checks are not.
AFFECTS_RESULTS = False

T = TypeVar("T")
Self = TypeVar("Self", bound="Recipe")


class WrongKey(ValueError):
    """An error in one key of a section, found by a check of the whole section.

    Attributes:
        keys: from the section to the key.
    """

    def __init__(self, key: str, problem: str):
        """Take the key, such as `labels.tie`, and what is wrong with it and what to do."""
        super().__init__(problem)
        self.keys = tuple(key.split("."))


class Section(BaseModel):
    """A mapping in a YAML file.

    Unknown keys, infinite numbers and values of other types are errors. The text below a key
    describes it; `aligners.configuration.documentation` reads these texts.

    Attributes:
        together: keys of which all or none have a value.
        either: keys of which exactly one has a value.
        counted_apart: keys that decide other results than the rest. A rule whose result depends on
            one of them names it as a setting of its own, such as `backbone.inference`.
    """

    together: ClassVar[tuple[str, ...]] = ()
    either: ClassVar[tuple[str, ...]] = ()
    counted_apart: ClassVar[tuple[str, ...]] = ()

    model_config = ConfigDict(
        extra="forbid",
        strict=True,  # "3" is not 3, and 3.0 is not an integer
        frozen=True,
        allow_inf_nan=False,
        defer_build=True,  # most programs use few kinds
    )

    @model_validator(mode="after")
    def keys_fit_together(self) -> "Section":
        """Check the keys of `together` and of `either`."""
        missing = [name for name in self.together if getattr(self, name) is None]
        if missing and len(missing) < len(self.together):
            given = next(name for name in self.together if name not in missing)
            raise WrongKey(given, f"the key {given} needs the key {missing[0]} too; add it")
        chosen = [name for name in self.either if getattr(self, name) is not None]
        if self.either and not chosen:
            raise ValueError(f"a key is missing; give either {' or '.join(self.either)}")
        if len(chosen) > 1:
            raise WrongKey(
                chosen[0],
                f"the keys {' and '.join(chosen)} exclude each other; "
                f"give either {' or '.join(self.either)}",
            )
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        rules = []
        if not all(cls.model_fields[name].is_required() for name in cls.together):
            all_given, any_given = map(given, (cls.together,) * 2, ("allOf", "anyOf"))
            rules.append({"anyOf": [all_given, {"not": any_given}]})
        if cls.either:
            rules.append(given(cls.either, "oneOf"))
        found = handler(schema)
        return {**found, "allOf": rules} if rules else found


def given(names: Sequence[str], operator: str) -> dict[str, Any]:
    """Return the JSON Schema of objects in which all, any or one of some keys have a value."""
    return {
        operator: [
            {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in names
        ]
    }


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


def shortened(value: Any) -> str:
    """Return a value as YAML writes it, at most some 60 characters."""
    if isinstance(value, date):
        text = str(value)
    else:
        text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


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
            raise ValueError(f"{shortened(text)} is not {self.words}; correct it")
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
        raise ValueError(f"there is no file {shortened(path)}; correct the path")
    return found


def differ(items: list[T]) -> list[T]:
    """Return a list whose items all differ.

    Raises:
        ValueError: an item occurs twice.
    """
    seen: set[T] = set()
    for item in items:
        if item in seen:
            raise ValueError(f"{shortened(item)} occurs twice; remove one of them")
        seen.add(item)
    return items


def can_divide(temperature: float) -> float:
    """Return a temperature by which the logits can be divided, or 0.

    Raises:
        ValueError: it is almost 0, and a quotient would be infinite.
    """
    if 0 < temperature < 0.01:
        raise ValueError(
            f"{temperature} is almost 0; write 0 for greedy decoding, or at least 0.01"
        )
    return temperature


# A text may have several lines; a line is the name or the path of something.
Text = Annotated[str, Form(r"\S", "a text that is not blank")]
Line = Annotated[
    str, Form(r"^(?=.*\S)[^\r\n]{1,1000}$", "one line of at most 1,000 characters, not blank")
]
Name = Annotated[
    str,
    Form(
        # Names are parts of paths. A file beside `name.jsonl`, such as `name.counts.json`, cannot
        # have the path of another name's file, because each ending begins with a letter.
        r"^(?=.{1,64}$)[a-z0-9][a-z0-9_-]*(\.[0-9][a-z0-9_-]*)*$",
        "a name of at most 64 lower-case letters, digits, hyphens and underscores, with dots only "
        "before digits",
    ),
]
Names = Annotated[list[Name], AfterValidator(differ)]
Share = Annotated[float, Field(ge=0, le=1)]
# A similarity of 0 makes all texts similar.
Similarity = Annotated[float, Field(ge=0.01, le=1)]
# The upper bounds leave room for every real use. Above them, a job would run for ever, or fail.
Count = Annotated[int, Field(ge=1, le=1_000_000_000)]
Few = Annotated[int, Field(ge=1, le=10_000)]
Tokens = Annotated[int, Field(ge=1, le=10_000_000)]
RowTokens = Annotated[int, Field(ge=16, le=10_000_000)]
# Short times make a checkpoint at every step, or end a training after its first.
Duration = Annotated[float, Field(ge=1e-9, le=1_000_000_000)]
Positive = Annotated[float, Field(ge=0.001, le=1_000_000_000)]
RepetitionPenalty = Annotated[float, Field(ge=0.01, le=100)]
Temperature = Annotated[float, Field(ge=0, le=10), AfterValidator(can_divide)]
TopP = Annotated[float, Field(ge=0.001, le=1)]
# The content of the file decides a result, not its name.
File = Annotated[Path, BeforeValidator(existing_file)]


class Sampling(Section):
    """How the tokens of a text are drawn."""

    temperature: Temperature = 0.0
    """Sampling temperature. 0 means greedy decoding."""
    top_p: TopP | None = None
    """If given, tokens are drawn only from the likeliest ones that together have at least this
    probability. It needs a temperature above 0."""
    top_k: Few | None = None
    """If given, tokens are drawn only from this many likeliest ones. It needs a temperature above
    0."""

    @model_validator(mode="after")
    def limits_need_a_temperature(self) -> "Sampling":
        """Check that nothing limits the tokens of greedy decoding, which draws none."""
        for name in ("top_p", "top_k"):
            if getattr(self, name) is not None and self.temperature == 0:
                raise WrongKey(
                    name,
                    f"{name} has no effect at temperature 0, which is greedy; remove {name}, or "
                    "set a temperature above 0",
                )
        return self
