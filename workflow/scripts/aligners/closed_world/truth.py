"""What is known about any question, answer and pair of the closed world."""

from dataclasses import dataclass

from aligners.closed_world.answers import parse_answer
from aligners.closed_world.plans import plan_pair
from aligners.closed_world.world import CRITERIA, MOST_CONTEXT_WORDS, Item, World, words


@dataclass(frozen=True)
class Truth:
    """The verdicts that results of the workflow are compared with."""

    world: World

    def identify(self, question: str) -> Item | None:
        """Return the item that a question asks for, or None if it is no question of the world."""
        asked = words(question)
        if len(asked) > MOST_CONTEXT_WORDS:
            return None
        # The words of a context come before those that ask.
        found = (self.world.asks.get(asked[start:]) for start in range(len(asked)))
        return next((item for item in found if item), None)

    def assess(self, question: str, answer: str) -> dict[str, bool]:
        """Return for each criterion whether the answer meets it.

        A text with any part that is not of the world meets no criterion.

        Raises:
            ValueError: the question is not of the world.
        """
        item = self.identify(question)
        if item is None:
            raise ValueError(f"not a question of the closed world: {question!r}")
        parsed = parse_answer(self.world, item, answer)
        return parsed.clean if parsed else dict.fromkeys(CRITERIA, False)

    def planted_pair(self, question: str, criterion: str, seed: int) -> str | None:
        """Return the defect that the teacher planted in a pair, or None.

        It is one of plans.PLANTED. A pair for a question in another language has the defect
        language.
        """
        item = self.identify(question)
        if item is None:
            foreign = (entry["question"] for entry in self.world.content["languages"].values())
            return "language" if words(question) in map(words, foreign) else None
        return plan_pair(self.world, item, question, criterion, seed).defect
