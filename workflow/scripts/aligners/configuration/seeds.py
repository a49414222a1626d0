"""Names of the models of several training seeds: `gpt2-large`, `gpt2-large.seed1`, ...

In paths, the name of a recipe alone stands for the model of the first seed. For another seed, the
name has an ending. No recipe has such a name: in a name, a dot comes only before a digit
(`fields.Name`).
"""

from collections.abc import Sequence

ENDING = ".seed"


def name_with_seed(recipe: str, seed: int, seeds: Sequence[int]) -> str:
    """Return the name of the model of a recipe and a seed.

    Args:
        recipe: of an inspector or a backbone.
        seed: one of the seeds.
        seeds: all training seeds of the experiment.
    """
    return recipe if seed == seeds[0] else f"{recipe}{ENDING}{seed}"


def names_with_seeds(recipes: Sequence[str], seeds: Sequence[int]) -> list[str]:
    """Return the names of all recipes for the first seed, then for the next, and so on."""
    return [name_with_seed(recipe, seed, seeds) for seed in seeds for recipe in recipes]


def recipe_of(name: str) -> str:
    """Return the recipe of a model's name; other names are returned unchanged."""
    return name.partition(ENDING)[0]


def seed_of(name: str, seeds: Sequence[int]) -> int:
    """Return the training seed of a model's name."""
    seed = name.partition(ENDING)[2]
    return int(seed) if seed else seeds[0]
