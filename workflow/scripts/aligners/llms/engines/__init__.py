"""Engines: get completions from an LLM in the job, on a server or in the closed world."""

from importlib import import_module

from aligners.configuration.kinds.llms import LLMRecipe
from aligners.core.completions import Engine

MODULES = {
    "closed-world": "closed_world",
    "transformers": "transformers",
    "openai": "openai",
    "served": "served",
}


def load_engine(recipe: LLMRecipe) -> Engine:
    """Load the engine that an LLM's recipe names (`engine`).

    Raises:
        UserError: the model cannot be loaded, or the endpoint cannot be used.
    """
    module = import_module(f"aligners.llms.engines.{MODULES[recipe.engine]}")
    engine: Engine = module.load(recipe)
    return engine
