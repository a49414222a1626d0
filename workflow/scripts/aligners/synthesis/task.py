"""A task: one stage of the synthesis for one criterion, with its settings."""

from collections.abc import Sequence
from dataclasses import dataclass

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.languages import ENGLISH, language_names
from aligners.configuration.recipes import load_recipe


@dataclass(frozen=True)
class Task:
    """The settings that decide the requests of one stage for one criterion.

    Attributes:
        llm: recipe of the teacher.
        synthesis, name: the synthesis recipe and its name.
        languages: of the criterion.
        seed: seed of the run, from which the seeds of rounds and attempts are derived.
    """

    criterion: str
    llm: LLMRecipe
    synthesis: SynthesisRecipe
    name: str
    seed: int
    languages: Sequence[str] = ENGLISH


def in_language(languages: Sequence[str]) -> str:
    """Return the sentence of a prompt that names the languages; none for English alone.

    The prompts are in English, so a teacher would write English by itself.
    """
    if tuple(languages) == ENGLISH:
        return ""
    return f" Write them in {language_names(languages)}."


def load_task(criterion: str, teacher: str, synthesis: str, seed: int) -> Task:
    """Load the recipes of a task."""
    recipe = load_recipe(SynthesisRecipe, synthesis)
    languages = load_recipe(CriterionRecipe, criterion).languages
    llm = load_recipe(LLMRecipe, teacher)
    return Task(criterion, llm, recipe, synthesis, seed, languages)
