"""A task: what one stage of the synthesis asks the teacher to write for one criterion."""

from dataclasses import dataclass

from aligners.configuration.recipes import load_recipe
from aligners.configuration.schemas import Recipe


@dataclass(frozen=True)
class Task:
    """What decides the requests of one stage for one criterion, apart from the rows it reads.

    Attributes:
        llm: the teacher's recipe.
        settings: the part of the synthesis recipe for the stage.
        seed: of the run; rounds and attempts derive theirs from it.
    """

    criterion: str
    llm: Recipe
    settings: Recipe
    seed: int


def load_task(stage: str, criterion: str, teacher: str, synthesis: str, seed: int) -> Task:
    """Load the recipes of a task; `stage` is topics, questions or pairs."""
    settings: Recipe = load_recipe("synthesis", synthesis)[stage]
    return Task(criterion, load_recipe("llms", teacher), settings, seed)
