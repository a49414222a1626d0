"""Judges that compare two texts, by their recipes."""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from aligners.configuration.kinds.judges import JudgeRecipe, LLMJudgeRecipe, PairRMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.judging.judged_pairs import Shown, Verdicts
from aligners.llms.usage import Usage


class Judge(Protocol):
    """Tells which of two texts is better."""

    @property
    def usage(self) -> Usage:
        """The usage of the judge."""

    @property
    def served_models(self) -> Collection[str]:
        """The names of the models that a server reported."""

    def judge(self, shown: list[Shown]) -> Verdicts:
        """Return the verdicts on pairs: no pair twice, and no pair of equal texts."""


def load_judge(name: str, usage: Path) -> Judge:
    """Load a judge: an LLM, or PairRM.

    Args:
        name: of a recipe in config/judges/.
        usage: the usage file {llm}.usage.json; the replies of an LLM are kept in the ledger of
            {llm}.jsonl in its directory.

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
