"""Verdicts on questions, answers, topics and pairs of the closed world."""

import re
from dataclasses import dataclass

from aligners.closed_world.answers import garbled, parse_answer
from aligners.closed_world.plans import plan_pair
from aligners.closed_world.world import (
    MOST_CONTEXT_WORDS,
    Item,
    World,
    load_world,
    normalise,
    topic_key,
    words,
)

LONGEST_TOPIC = 49


@dataclass(frozen=True)
class Truth:
    """The verdicts that results of the workflow are compared with."""

    world: World

    @classmethod
    def from_file(cls, path: str) -> "Truth":
        """Load the world from its YAML file.

        Raises:
            UserError: the file is missing or not complete.
        """
        return cls(load_world(path))

    def find(self, question: str) -> tuple[tuple[str, ...], Item, int] | None:
        """Return the words of the context, the item and the number of the phrasing, or None."""
        asked = words(question)
        if len(asked) > MOST_CONTEXT_WORDS:
            return None
        for start in range(len(asked)):
            if found := self.world.asks.get(asked[start:]):
                return asked[:start], *found
        return None

    def identify(self, question: str) -> Item | None:
        """Return the item that a question asks for, or None if the question is not of the world."""
        found = self.find(question)
        return found[1] if found else None

    def question_key(self, question: str) -> str | None:
        """Return a key that trivial variants of a question share, and no other question has.

        None if the line is no question of the world.
        """
        found = self.find(question)
        if not found:
            return None
        context, item, phrasing = found
        return f"{' '.join(context)} | {item.id} | {phrasing}"

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
        return parsed.clean if parsed else garbled()

    def is_foreign(self, question: str) -> bool:
        """Return whether a question is one of those in another language."""
        foreign = (entry["question"] for entry in self.world.content["languages"].values())
        return words(question) in map(words, foreign)

    def planted_pair(self, question: str, criterion: str, seed: int) -> str | None:
        """Return the defect that the teacher planted in a pair, or None.

        It is one of plans.PLANTED. A pair for a question in another language has the defect
        language.
        """
        item = self.identify(question)
        if item is None:
            return "language" if self.is_foreign(question) else None
        return plan_pair(self.world, item, question, criterion, seed).defect

    def topic_defect(self, topic: str) -> str | None:
        """Return the name of the first rule for topics that a line breaks, or None."""
        rules = {
            "characters": r".*(//|\\u|@|_)",
            "too_long": rf"(\S+\s+){{3}}|.{{{LONGEST_TOPIC + 1}}}",
            "lower_case": r"[^A-Z]",
            "final_punctuation": r".*[.,:;!?]$",
        }
        text = normalise(topic)
        return next((name for name, rule in rules.items() if re.match(rule, text)), None)

    def topic_key(self, topic: str) -> str:
        """Return a key that near-duplicate topics share."""
        return topic_key(topic)
