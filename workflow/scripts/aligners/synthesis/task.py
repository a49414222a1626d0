"""A task: what the synthesis asks the teacher to write for one criterion."""

from dataclasses import dataclass

from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe


@dataclass(frozen=True)
class Task:
    """What decides the requests for one criterion, apart from the rows that a stage reads.

    Attributes:
        llm: the teacher's recipe.
        synthesis: the recipe of the synthesis.
        seed: of the run; rounds and attempts derive theirs from it.
    """

    criterion: str
    llm: LLMRecipe
    synthesis: SynthesisRecipe
    seed: int


def load_task(criterion: str, teacher: str, synthesis: str, seed: int) -> Task:
    """Load the recipes of a task."""
    recipe = load_recipe(SynthesisRecipe, synthesis)
    return Task(criterion, load_recipe(LLMRecipe, teacher), recipe, seed)
