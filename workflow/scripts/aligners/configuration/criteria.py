"""The content of a criterion: principles with demonstrations, and seed questions."""

from dataclasses import dataclass
from pathlib import Path

from aligners.configuration.kinds.criteria import (
    CriterionRecipe,
    Principles,
    QuestionType,
    SeedQuestions,
)
from aligners.configuration.recipes import load_recipe
from aligners.configuration.validation import read_section


def load_principles(criterion: str) -> Principles:
    """Load the principles that the criterion's recipe names."""
    return read_section(Principles, load_recipe(CriterionRecipe, criterion).principles)


def numbered(principles: Principles) -> str:
    """Return the principles as text, one per line: number, name and text."""
    return "\n".join(
        f"{number}. {principle.name}: {principle.text}"
        for number, principle in enumerate(principles.principles, start=1)
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
