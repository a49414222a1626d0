"""A ranking model as a judge."""

from scipy.special import expit

from aligners.configuration.kinds.judges import PairRMRecipe
from aligners.judging.judged_pairs import ShownTexts, Verdict
from aligners.judging.pairrm import PairRanker
from aligners.llms.usage import Usage


class RankingJudge:
    """PairRM as a judge; its preferences are probabilities."""

    def __init__(self, recipe: PairRMRecipe):
        """Load the model of a judge's recipe.

        Raises:
            UserError: the model cannot be loaded, or is not PairRM.
        """
        self.ranker = PairRanker.load(recipe.source())
        self.usage = Usage()
        self.served_models: list[str] = []

    def judge(self, shown: list[ShownTexts]) -> dict[ShownTexts, Verdict]:
        """Return the verdict on each entry of `shown`."""
        preferences = expit(self.ranker.compare(shown)).tolist()
        return {texts: Verdict(value) for texts, value in zip(shown, preferences, strict=True)}
