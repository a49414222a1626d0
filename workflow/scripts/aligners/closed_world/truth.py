"""The truth about any question, answer and pair of the closed world."""

from dataclasses import dataclass

from aligners.closed_world.answers import parse_answer
from aligners.closed_world.plans import PairPlan, plan_pair
from aligners.closed_world.world import CRITERIA, MAX_CONTEXT_WORDS, Item, World, words


@dataclass(frozen=True)
class Truth:
    """Computes the true verdicts, with which results of the workflow are compared."""

    world: World

    def identify(self, question: str) -> Item | None:
        """Return the item that a question asks for, or None if it is not of the world."""
        question_words = words(question)
        if len(question_words) > MAX_CONTEXT_WORDS:
            return None
        # A question is a context and then one of the item's `asks`.
        suffixes = (question_words[start:] for start in range(len(question_words)))
        return next((item for item in map(self.world.asks.get, suffixes) if item), None)

    def assess(self, question: str, answer: str) -> dict[str, bool]:
        """Return, for each criterion, whether the answer meets it.

        If any part of the answer is not of the world, it meets no criterion.

        Raises:
            ValueError: the question is not of the world.
        """
        item = self.identify(question)
        if item is None:
            raise ValueError(f"not a question of the closed world: {question!r}")
        parsed = parse_answer(self.world, item, answer)
        return parsed.clean if parsed else dict.fromkeys(CRITERIA, False)

    def planned_pair(
        self, question: str, criterion: str, seed: int, given_response: str | None = None
    ) -> PairPlan | None:
        """Return the teacher's plan of a pair, for a response if one is given.

        Return None if the question or the given response is not of the world.
        """
        item = self.identify(question)
        if item is None:
            return None
        response = None
        if given_response is not None:
            response = parse_answer(self.world, item, given_response)
            if response is None:
                return None
        return plan_pair(self.world, item, question, criterion, seed, response)

    def planted_pair(
        self, question: str, criterion: str, seed: int, given_response: str | None = None
    ) -> tuple[str | None, bool]:
        """Return the planted defect of a pair or None, and whether its form is held out.

        A pair for a question in another language has the defect `language`.
        """
        if plan := self.planned_pair(question, criterion, seed, given_response):
            return plan.defect, plan.held_out
        foreign = self.world.content["foreign_questions"]
        return ("language" if words(question) in map(words, foreign) else None), False

    def fillers(self, question: str, answer: str) -> int:
        """Return the number of fillers of an answer, or 0 if it is not of the world."""
        item = self.identify(question)
        parsed = parse_answer(self.world, item, answer) if item else None
        return len(parsed.fillers) if parsed else 0
