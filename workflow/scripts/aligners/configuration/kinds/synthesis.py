"""Synthesis: how the training data are made and cleaned."""

from typing import ClassVar

from pydantic import Field

from aligners.configuration.kinds.fields import Recipe, Section, Share

DECIDES = False


class NearDuplicateSettings(Section):
    """When two texts count as near-duplicates."""

    shingle: int = Field(5, ge=1)
    """Length in characters of the overlapping pieces of a text that are compared."""
    similarity: Share = 0.8
    """Texts are near-duplicates if the Jaccard similarity of their pieces is at least this."""


class Balance(Section):
    """How evenly topics are spread over the question types."""

    largest_to_median: float = Field(2.0, ge=1)
    """A question type keeps at most this many times the topics of the median type."""


class Topics(Section):
    """Generation of topics, and their deduplication."""

    examples_per_prompt: int = Field(5, ge=1)
    """Example topics in a prompt."""
    prompts_per_type: int = Field(1, ge=1)
    """Prompts for each question type in one round."""
    max_new_tokens: int = Field(300, ge=1)
    """Maximum number of tokens of one completion."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature. 0 selects the most probable token."""
    near_duplicates: NearDuplicateSettings = NearDuplicateSettings()
    """When two topics count as the same."""
    balance: Balance = Balance()
    """How evenly topics are spread over the question types."""


class Questions(Section):
    """Generation of questions, and their deduplication."""

    examples_per_prompt: int = Field(5, ge=1)
    """Seed questions in a prompt."""
    hints_per_prompt: int = Field(15, ge=1)
    """Hints in a prompt, each a question type with a topic. The LLM writes one line for each
    hint."""
    attempts: int = Field(3, ge=1)
    """How often a hint is sent, including the first time, until the LLM writes its line."""
    max_new_tokens: int = Field(1000, ge=1)
    """Maximum number of tokens of one completion."""
    temperature: float = Field(1.0, ge=0)
    """Sampling temperature. 0 selects the most probable token."""
    near_duplicates: NearDuplicateSettings = NearDuplicateSettings()
    """When two questions count as the same."""


class Pairs(Section):
    """Generation of response, critique and correction."""

    max_new_tokens: int = Field(1500, ge=1)
    """Maximum number of tokens of one completion."""
    temperature: float = Field(0.0, ge=0)
    """Sampling temperature. 0 selects the most probable token."""
    repetition_penalty: float = Field(1.0, gt=0)
    """Penalty on repeated tokens, as a factor. 1 is no penalty."""


class Language(Section):
    """When a text counts as not English."""

    minimum_words: int = Field(5, ge=1)
    """A text with fewer words in plain letters is kept, since it is too short to be classified."""
    minimum_ratio: Share = 0.1
    """A text counts as not English if the probability of English, divided by that of the most
    probable language, is below this ratio."""


class Cleaning(Section):
    """Filters of the pairs."""

    language: Language = Language()
    """When a text counts as not English."""


class SplitSettings(Section):
    """Grouping of questions before they are divided into training, validation and test."""

    near_duplicates: NearDuplicateSettings = NearDuplicateSettings()
    """When two questions belong to the same group. All questions of a group are in the same
    split."""


class SynthesisRecipe(Recipe):
    """How the training data are made and cleaned."""

    folder: ClassVar[str] = "synthesis"

    topics: Topics = Topics()
    """Generation of topics, and their deduplication."""
    questions: Questions = Questions()
    """Generation of questions, and their deduplication."""
    pairs: Pairs = Pairs()
    """Generation of response, critique and correction."""
    cleaning: Cleaning = Cleaning()
    """Filters of the pairs."""
    split: SplitSettings = SplitSettings()
    """Grouping of questions before they are divided into training, validation and test."""
