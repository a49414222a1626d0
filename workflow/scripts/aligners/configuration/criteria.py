"""The content of a criterion: principles with demonstrations, and seed questions."""

from dataclasses import dataclass
from pathlib import Path

from aligners.configuration.recipes import load_recipe
from aligners.configuration.schemas import validate
from aligners.core.errors import UserError
from aligners.core.yaml_files import read_yaml


@dataclass(frozen=True)
class Demonstration:
    """An example of a response, its critique by the principles, and the correction."""

    input: str
    response: str
    critique: str
    correction: str


@dataclass(frozen=True)
class Principles:
    """The principles of a criterion as (name, text), with demonstrations."""

    introduction: str
    principles: list[tuple[str, str]]
    demonstrations: list[Demonstration]


@dataclass(frozen=True)
class QuestionType:
    """A type of question, topics that fit it, and seed questions as (topic, question)."""

    name: str
    example_topics: list[str]
    seed_questions: list[tuple[str, str]]


def load_principles(criterion: str) -> Principles:
    """Load the principles that the criterion's recipe names."""
    path = Path(load_recipe("criteria", criterion)["principles"])
    content = validate("principles", read_yaml(path), path)
    return Principles(
        introduction=content["introduction"].strip(),
        principles=[(item["name"], item["text"].strip()) for item in content["principles"]],
        demonstrations=[
            Demonstration(**{key: text.strip() for key, text in item.items()})
            for item in content["demonstrations"]
        ],
    )


def numbered(principles: Principles) -> str:
    """Return the principles as text, one per line: number, name and text."""
    return "\n".join(
        f"{number}. {name}: {text}"
        for number, (name, text) in enumerate(principles.principles, start=1)
    )


def load_question_types(criterion: str) -> list[QuestionType]:
    """Load the question types with seed questions that the criterion's recipe names.

    Raises:
        UserError: the file does not match its schema, or contains a type twice.
    """
    path = Path(load_recipe("criteria", criterion)["seed_questions"])
    content = validate("seed_questions", read_yaml(path), path)
    types = [item["type"] for item in content["question_types"]]
    for name in types:
        if types.count(name) > 1:
            raise UserError(f"{path}, key question_types: {name!r} appears twice; merge the two")
    return [
        QuestionType(
            name=item["type"],
            example_topics=item["example_topics"],
            seed_questions=[(seed["topic"], seed["question"]) for seed in item["questions"]],
        )
        for item in content["question_types"]
    ]
