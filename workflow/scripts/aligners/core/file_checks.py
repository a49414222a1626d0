"""The fields of rows and the keys of JSON files: which type each has, and what is wrong in a value.

A field has one type in all files (docs/data.md). So a program only names the fields that it needs.
"""

from collections.abc import Iterable
from functools import cache
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, create_model
from pydantic import model_validator as check_after

from aligners.core.reasons import ACCEPTED, LOWERS_ANOTHER, TURN_REASONS

# Checks change no result, so fingerprints leave this module out.
AFFECTS_RESULTS = False

STRICT = ConfigDict(strict=True)  # "3" is not 3, and true is not 1
SHOWN_CHARACTERS = 60

Count = Annotated[int, Field(ge=0)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Turn(BaseModel):
    """One turn in a trace. An aligner that acts alone has no scores, nor has a refused text."""

    model_config = STRICT

    criterion: str
    before: dict[str, Probability] | None
    margins_before: dict[str, Finite] | None
    aligned_response: str
    after: dict[str, Probability] | None
    margins_after: dict[str, Finite] | None
    accepted: bool
    reason: Annotated[str, Field(pattern=f"^({'|'.join(TURN_REASONS)})$")]
    lowered: str | None

    @check_after(mode="after")
    def fields_agree(self) -> Self:
        """Check that the scores are of the same criteria, and fit the decision and its reason.

        Raises:
            ValueError: they are not, or do not.
        """
        before = (self.before, self.margins_before)
        after = (self.after, self.margins_after)
        scores = [each for each in (*before, *after) if each is not None]
        named = {self.criterion, self.lowered or self.criterion}
        problems = {
            "has only some of its scores": before.count(None) == 1 or after.count(None) == 1,
            "lacks a score of a criterion": any(not named <= each.keys() for each in scores),
            "has scores only after the turn": self.before is None and self.after is not None,
            "is accepted without scores": self.accepted and len(scores) == len(before),
            "is not accepted for its reason": self.accepted != (self.reason == ACCEPTED),
            "has another reason than lowered": (self.lowered is None)
            == (self.reason == LOWERS_ANOTHER),
        }
        for problem, found in problems.items():
            if found:
                raise ValueError(problem)
        return self


# All other fields are texts, which may be empty.
TYPES: dict[str, Any] = {
    "id": Annotated[str, Field(min_length=1)],
    "category": str | None,
    "category_id": str | None,
    "kind": Annotated[str, Field(pattern="^(questions|responses|corrections|preferences|labels)$")],
    "split": Annotated[str, Field(pattern="^(train|validation|test)$")],
    "similarity": Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)],
    "label": Annotated[int, Field(ge=0, le=1)],
    "identity": bool,
    "score": Probability,
    "scores": dict[str, Probability | None],
    "trace": list[Turn],
    "turns": Count,
    "first_order": Probability | None,
    "second_order": Probability | None,
    "length": Count,
    "reference_length": Count,
    "unchanged": bool,
    "identical": bool,
}


@cache
def fields_model(names: tuple[str, ...]) -> type[BaseModel]:
    """Return a model of rows with these fields; other fields are not checked."""
    fields: dict[str, Any] = {name: (TYPES.get(name, str), ...) for name in names}
    return create_model("Row", __config__=STRICT, **fields)


@cache
def shape_adapter(shape: Any) -> TypeAdapter[Any]:
    """Return what checks values of a type."""
    return TypeAdapter(shape)


def find_field_problem(row: dict[str, Any], names: Iterable[str]) -> str | None:
    """Return what is wrong with these fields of a row, or None."""
    try:
        fields_model(tuple(names)).model_validate(row)
    except ValidationError as error:
        return describe(error, "field")
    return None


def find_shape_problem(text: str, shape: Any) -> str | None:
    """Return why a JSON text is not a value of the type `shape`, or None."""
    try:
        shape_adapter(shape).validate_json(text, strict=True)
    except ValidationError as error:
        return describe(error, "key")
    return None


def describe(error: ValidationError, kind: str) -> str:
    """Return the first problem: the name of the field or key, its value, and what it has to be."""
    problem = error.errors()[0]
    where = f"the {kind} {'.'.join(map(str, problem['loc']))!r}" if problem["loc"] else "the value"
    if problem["type"] == "missing":
        return f"{where} is missing"
    if problem["type"] == "json_invalid":
        return f"not JSON: {problem['ctx']['error']}"
    shown = repr(problem["input"])
    if len(shown) > SHOWN_CHARACTERS:
        shown = f"{shown[:SHOWN_CHARACTERS]}…"
    reason = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{where} is {shown}, but it {reason}"
