"""Criteria, and the files of principles and of seed questions that they name."""

import unicodedata
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from aligners.configuration.fields import (
    File,
    Form,
    Names,
    Recipe,
    Section,
    Similarity,
    differ,
    shortened,
)
from aligners.configuration.languages import ENGLISH, NAMES

AFFECTS_RESULTS = False

# Blanks around a text are not part of it.
Paragraph = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]


def begins_with_capital(topic: str) -> bool:
    """Return whether a topic begins with a capital letter, or one of a script without capitals."""
    first = topic[:1]
    return first.isupper() or (first.isalpha() and first.lower() == first.upper())


def begins_with_a_capital(topic: str) -> str:
    """Return a topic.

    Raises:
        ValueError: it begins with another character.
    """
    if not begins_with_capital(topic):
        raise ValueError(f"{shortened(topic)} is not a topic; begin it with a capital letter")
    return topic


Topic = Annotated[
    str,
    Form(
        r"^\S+( \S+){0,2}(?<![.,;:!?])$",
        "a topic: at most three words, and no punctuation at the end",
    ),
    AfterValidator(begins_with_a_capital),
]


def is_language(code: str) -> str:
    """Return the code of a language.

    Raises:
        ValueError: it is not one, or the language cannot be told from others.
    """
    if code not in NAMES:
        known = " ".join(NAMES)
        raise ValueError(f"{shortened(code)} is no known language; use one of: {known}")
    return code


def has_only_letters(word: str) -> str:
    """Return a word of letters of any script, with their accents and vowel signs.

    Raises:
        ValueError: it has another character.
    """
    if not all(unicodedata.category(character)[0] in "LM" for character in word):
        raise ValueError(f"{shortened(word)} is not a word of letters; correct it")
    return word


PrincipleName = Annotated[
    str,
    # In ASCII, lower-case letters alone; other characters are checked afterwards.
    Form(r"^[^\s!-`{-~]{1,40}$", "one word of at most 40 lower-case letters"),
    AfterValidator(has_only_letters),
]


class CriterionRecipe(Recipe):
    """A criterion that responses should meet."""

    folder: ClassVar[str] = "criteria"
    description: str = ""
    """One line that says what responses should be. The prompt for questions names it."""
    principles: File
    """YAML file with the introduction, the principles and the demonstrations of the prompt for
    pairs."""
    seed_questions: File | None = None
    """YAML file with the question types, their example topics and seed questions. The teacher
    writes the training data from them. It can be missing if there are `data`."""
    data: Names = Field(default_factory=list)
    """Imports of config/imports/ with data of your own, which are used beside the data that the
    teacher writes from seed questions, or in place of them."""
    languages: Annotated[
        list[Annotated[str, AfterValidator(is_language)]],
        Field(min_length=1),
        AfterValidator(differ),
    ] = Field(default_factory=lambda: list(ENGLISH))
    """Languages of the criterion's texts, as codes of ISO 639-1, such as `[de]`. Texts in other
    languages are dropped. The prompts ask for texts in these languages; principles and seed
    questions are best written in them too."""
    near_copy_similarity: Similarity = 0.98
    """A pair is a near-copy if the cosine similarity of its response and its correction is at least
    this value, and their numbers, names and negations are equal. Near-copies are not used to train
    the inspector. With 1, no pair is one: choose it where a single word can be the whole
    correction."""


class Principle(Section):
    """One principle."""

    name: PrincipleName
    """Name of the principle in critiques: one word in lower case."""
    text: Paragraph
    """Description of what a good response does."""


class Demonstration(Section):
    """A response, its critique by the principles, and the correction."""

    input: Paragraph
    """The question."""
    response: Paragraph
    """The response before correction."""
    critique: Paragraph
    """Which principle the response violates, and why. "Nothing is wrong." if it violates none."""
    correction: Paragraph
    """The corrected response."""


class Principles(Section):
    """The principles of a criterion, with demonstrations."""

    introduction: Paragraph
    """First paragraph of the prompt. It describes what the LLM has to write."""
    principles: list[Principle] = Field(min_length=1)
    """The principles. The prompt numbers them in this order."""
    demonstrations: list[Demonstration] = Field(min_length=1)
    """Examples that the LLM imitates. In some of them, the response is good and the correction
    equals it."""

    @field_validator("principles")
    @classmethod
    def names_differ(cls, principles: list[Principle]) -> list[Principle]:
        """Check that no name occurs twice."""
        differ([one.name for one in principles])
        return principles


class SeedQuestion(Section):
    """A question or request that a prompt shows as an example."""

    topic: Topic
    """Topic of the question."""
    question: Annotated[str, Form(r"^[^\r\n]*\S[^\r\n]*$", "a question or a request in one line")]
    """The question."""


class QuestionType(Section):
    """A type of question, topics that fit it, and seed questions."""

    type: Annotated[
        str,
        Form(
            r"^\S[^\r\n]{0,199}$", "one line of at most 200 characters without blanks at its start"
        ),
    ]
    """What the questions ask for. In the prompt, this text follows the words "questions that ask
    for"."""
    example_topics: Annotated[
        list[Topic],
        Field(min_length=1),
        AfterValidator(differ),
    ]
    """Topics for the first prompt. A topic has at most three words, starts with a capital letter,
    and has no punctuation at its end."""
    questions: list[SeedQuestion] = Field(min_length=1)
    """Seed questions. Prompts show them as examples."""


class SeedQuestions(Section):
    """The seed questions of a criterion, by question type."""

    question_types: list[QuestionType] = Field(min_length=1)
    """Types of questions. The teacher writes topics and questions for each type."""

    @field_validator("question_types")
    @classmethod
    def types_differ(cls, types: list[QuestionType]) -> list[QuestionType]:
        """Check that no type occurs twice."""
        differ([one.type for one in types])
        return types
