"""Criteria, and the files of principles and of seed questions that they name."""

from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from aligners.configuration.kinds.fields import File, Form, Recipe, Section, Share, differ

DECIDES = False

# Blanks around a text are not part of it.
Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Topic = Annotated[
    str,
    Form(
        r"^[A-Z]\S*( \S+){0,2}(?<![.,;:!?])$",
        "a topic: at most three words, a capital letter first, no punctuation at the end",
    ),
]


class CriterionRecipe(Recipe):
    """A criterion that responses should meet."""

    folder: ClassVar[str] = "criteria"

    principles: File
    """YAML file with the introduction, the principles and the demonstrations of the pairs
    prompt."""
    seed_questions: File
    """YAML file with the question types, their example topics and seed questions."""
    near_copy_similarity: Share = 0.9
    """Pairs whose response and correction are at least this similar (cosine) are near-copies and
    are not part of the inspector set. Set it high if the change of a single word can be a
    correction."""


class Principle(Section):
    """One principle."""

    name: Annotated[str, Form(r"^[a-z]+$", "one word of lower-case letters")]
    """One word. Critiques refer to the principle by it."""
    text: Paragraph
    """What a good response does."""


class Demonstration(Section):
    """A response, its critique by the principles, and the correction."""

    input: Paragraph
    """Question."""
    response: Paragraph
    """First response."""
    critique: Paragraph
    """Which principle the response violates and why; "Nothing is wrong." if it violates none."""
    correction: Paragraph
    """The response as it should be."""


class Principles(Section):
    """The principles of a criterion, with demonstrations."""

    introduction: Paragraph
    """First paragraph of the prompt, which describes what the LLM has to write."""
    principles: list[Principle] = Field(min_length=1)
    """The principles, numbered in the prompt in this order."""
    demonstrations: list[Demonstration] = Field(min_length=1)
    """Examples for the LLM to imitate. In some, the response is good and the correction equals
    it."""


class SeedQuestion(Section):
    """A question that a prompt shows as an example."""

    topic: Topic
    """Topic of the question."""
    question: Annotated[str, Form(r"\?", "a question with a question mark")]
    """The question."""


class QuestionType(Section):
    """A type of question, topics that fit it, and seed questions."""

    type: Annotated[str, Form(r"^\S", "a text without blanks at its start")]
    """What the questions ask for. It follows the words "questions that ask for"."""
    example_topics: Annotated[
        list[Topic],
        Field(min_length=1),
        AfterValidator(differ),
    ]
    """Topics for the first prompt. A topic has at most three words, starts with a capital letter
    and ends without punctuation."""
    questions: list[SeedQuestion] = Field(min_length=1)
    """Seed questions, which the prompts show as examples."""


class SeedQuestions(Section):
    """The types of questions of a criterion, with topics and seed questions."""

    question_types: list[QuestionType] = Field(min_length=1)
    """Types of questions. The teacher writes topics and questions for each."""

    @field_validator("question_types")
    @classmethod
    def types_differ(cls, types: list[QuestionType]) -> list[QuestionType]:
        """Check that no type occurs twice."""
        differ([one.type for one in types])
        return types
