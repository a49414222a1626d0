"""The interface of a judge, and loading a judge by its recipe."""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from aligners.configuration.kinds.judges import JudgeRecipe, LLMJudgeRecipe, PairRMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.judging.judged_pairs import ShownTexts, Verdicts
from aligners.llms.usage import Usage


class Judge(Protocol):
    """Compares two texts for a question."""

    @property
    def usage(self) -> Usage:
        """The requests, tokens and money of the verdicts."""

    @property
    def served_models(self) -> Collection[str]:
        """The names of the models that a server reported."""

    def judge(self, shown: list[ShownTexts]) -> Verdicts:
        """Return the verdict on each entry of `shown`. Entries differ, and so do their texts."""


def load_judge(name: str, usage: Path) -> Judge:
    """Load a judge: an LLM, or PairRM.

    Args:
        name: of a recipe in config/judges/.
        usage: the usage file {llm}.usage.json; an LLM's replies are kept in the ledger of
            {llm}.jsonl beside it.

    Raises:
        UserError: the judge cannot be loaded.
    """
    recipe = load_recipe(JudgeRecipe, name)
    if isinstance(recipe, LLMJudgeRecipe):
        from aligners.judging.llm_judge import LLMJudge

        return LLMJudge(name, usage.with_name(usage.name.replace(".usage.json", ".jsonl")))
    from aligners.judging.ranking_judge import RankingJudge

    assert isinstance(recipe, PairRMRecipe)
    return RankingJudge(recipe)
