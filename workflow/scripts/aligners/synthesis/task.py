"""A task: one stage of the synthesis for one criterion, with its settings."""

from dataclasses import dataclass

from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe


@dataclass(frozen=True)
class Task:
    """The settings that decide the requests of one stage for one criterion.

    Attributes:
        llm: recipe of the teacher.
        synthesis, name: the synthesis recipe and its name.
        seed: seed of the run, from which the seeds of rounds and attempts are derived.
    """

    criterion: str
    llm: LLMRecipe
    synthesis: SynthesisRecipe
    name: str
    seed: int


def load_task(criterion: str, teacher: str, synthesis: str, seed: int) -> Task:
    """Load the recipes of a task."""
    recipe = load_recipe(SynthesisRecipe, synthesis)
    return Task(criterion, load_recipe(LLMRecipe, teacher), recipe, synthesis, seed)
