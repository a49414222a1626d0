"""The recipes that a configuration names, and those that they name."""

from collections.abc import Iterator

from aligners.configuration.experiment import imports_of
from aligners.configuration.fields import Recipe
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.imports import ImportRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import KINDS

AFFECTS_RESULTS = False

# The keys that name recipes. KINDS counts in the fingerprint of every job, also of trainings, so a
# list whose recipes decide through the files of other jobs is added here.
NAMING: dict[str, type[Recipe]] = {**KINDS, "responses_by": LLMRecipe}


def named_recipes(config: Config) -> Iterator[tuple[str, type[Recipe], str]]:
    """Yield the key of the configuration, the kind and the name of each recipe that it names."""
    for key, kind in NAMING.items():
        names = getattr(config, key)
        for name in names if isinstance(names, list) else [names]:
            if name is not None:
                yield key, kind, name


def all_recipes(config: Config) -> Iterator[tuple[str, type[Recipe], str]]:
    """Yield what `named_recipes` yields, and the imports that the recipes of criteria name."""
    yield from named_recipes(config)
    own = [name for criterion in config.criteria for name in imports_of(config, criterion)]
    for name in dict.fromkeys(own):
        if name not in config.data:
            yield "data", ImportRecipe, name
