"""A task: one stage of the synthesis for one criterion, with its settings."""

from dataclasses import dataclass

from aligners.configuration.recipes import load_recipe
from aligners.configuration.schemas import Recipe


@dataclass(frozen=True)
class Task:
    """The settings that decide the requests of one stage for one criterion.

    Attributes:
        llm: recipe of the teacher.
        settings: the stage's part of the synthesis recipe.
        seed: seed of the run, from which the seeds of rounds and attempts are derived.
    """

    criterion: str
    llm: Recipe
    settings: Recipe
    seed: int


def load_task(stage: str, criterion: str, teacher: str, synthesis: str, seed: int) -> Task:
    """Load the recipes of a task; `stage` is topics, questions or pairs."""
    settings: Recipe = load_recipe("synthesis", synthesis)[stage]
    return Task(criterion, load_recipe("llms", teacher), settings, seed)
