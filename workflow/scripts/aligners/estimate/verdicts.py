"""The judges of a run: how many verdicts each gives, and examples of the requests."""

from aligners.configuration.criteria import load_principles
from aligners.configuration.experiment import base_llms
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.judges import JudgeRecipe, LLMJudgeRecipe
from aligners.configuration.recipes import load_recipe
from aligners.configuration.systems import LLM_REFERENCES
from aligners.estimate.stages import Stage, dataset_rows, interleave
from aligners.judging.prompts import judge_decoding, judge_requests

ORDERS = 2


def verdicts_stages(config: Config, examples: int) -> list[Stage]:
    """Return a stage for each judge that is an LLM; examples are built from demonstrations."""
    demonstrations = interleave(
        [load_principles(criterion).demonstrations for criterion in config.criteria]
    )
    compared = [(each.input, each.correction, each.response) for each in demonstrations[:examples]]
    recipes = {name: load_recipe(JudgeRecipe, name) for name in config.judges}
    return [
        Stage(
            f"verdicts of {name}",
            recipe.llm,
            count_verdicts(config),
            judge_decoding(recipe),
            judge_requests(recipe, compared),
        )
        for name, recipe in recipes.items()
        if isinstance(recipe, LLMJudgeRecipe)
    ]


def count_verdicts(config: Config) -> int:
    """Return how many verdicts a judge gives at most; equal answers need none.

    A data set of unknown size is counted as a full sample of `alpaca_eval_rows` rows.
    """
    sample_rows = config.alpaca_eval_rows
    sizes = [dataset_rows(config, name) for name in config.datasets]
    rows = sum(sample_rows if size is None else min(size, sample_rows) for size in sizes)
    criteria = len(config.criteria)
    systems = criteria + len(config.systems)
    comparisons = systems * (len(LLM_REFERENCES) + len(config.external))
    # The intermediate corrections of a squad with the first training seed are compared with the
    # responses too.
    earlier_turns = criteria - 1 if "squad" in config.systems else 0
    models = len(base_llms(config)) * len(config.backbones)
    return ORDERS * rows * models * (comparisons * len(config.seeds) + earlier_turns)
