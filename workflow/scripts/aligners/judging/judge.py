"""Judges of two answers, by their recipes."""

from collections.abc import Collection
from pathlib import Path
from typing import Protocol

from aligners.configuration.recipes import load_recipe
from aligners.judging.judged_pairs import Shown, Verdicts
from aligners.llms.usage import Usage


class Judge(Protocol):
    """What tells the better of two answers."""

    @property
    def usage(self) -> Usage:
        """What the verdicts took."""

    @property
    def served_models(self) -> Collection[str]:
        """Which models a server said have answered."""

    def judge(self, shown: list[Shown]) -> Verdicts:
        """Return the verdicts on pairs, which differ from one another, of answers that differ."""


def load_judge(name: str, usage: Path) -> Judge:
    """Load a judge: an LLM, or PairRM.

    Args:
        name: of a recipe in config/judges/.
        usage: file {llm}.usage.json of what the verdicts took; an LLM's replies are kept in the
            ledger of {llm}.jsonl in its directory, for all jobs of a judge and data set.

    Raises:
        UserError: it cannot be had.
    """
    recipe = load_recipe("judges", name)
    if "llm" in recipe:
        from aligners.judging.llm_judge import LLMJudge

        return LLMJudge(name, usage.with_name(usage.name.replace(".usage.json", ".jsonl")))
    from aligners.judging.ranking_judge import RankingJudge

    return RankingJudge(recipe)
