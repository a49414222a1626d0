"""What a criterion consists of: principles with demonstrations, and seed questions."""

from collections.abc import Sequence

from aligners.configuration.kinds.criteria import (
    CriterionRecipe,
    Principles,
    QuestionType,
    SeedQuestions,
)
from aligners.configuration.recipes import load_recipe, recipe_path
from aligners.configuration.validation import read_section


def load_principles(criterion: str) -> Principles:
    """Load the principles that the criterion's recipe names."""
    return read_section(Principles, load_recipe(CriterionRecipe, criterion).principles)


def numbered(principles: Principles) -> str:
    """Return the principles as text, one a line: the number, the name, and what it demands."""
    return "\n".join(
        f"{number}. {principle.name}: {principle.text}"
        for number, principle in enumerate(principles.principles, start=1)
    )


def load_question_types(criterion: str) -> list[QuestionType]:
    """Load the question types with seed questions that the criterion's recipe names.

    Raises:
        ValueError: the criterion has pairs of its own instead.
    """
    path = load_recipe(CriterionRecipe, criterion).seed_questions
    if path is None:
        raise ValueError(f"the criterion {criterion} has no seed questions")
    return read_section(SeedQuestions, path).question_types


def languages_of(criteria: Sequence[str]) -> list[str]:
    """Return the languages of criteria, each once; of a criterion without a recipe, none."""
    known = [name for name in criteria if recipe_path(CriterionRecipe, name).is_file()]
    languages = (code for name in known for code in load_recipe(CriterionRecipe, name).languages)
    return list(dict.fromkeys(languages))
