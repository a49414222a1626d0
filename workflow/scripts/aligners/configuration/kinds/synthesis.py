"""Synthesis: how the training data are made and cleaned."""

from typing import ClassVar

from pydantic import Field

from aligners.configuration.fields import (
    Few,
    NotDeciding,
    Recipe,
    RepetitionPenalty,
    Sampling,
    Section,
    Share,
    Similarity,
    Temperature,
    Tokens,
)

AFFECTS_RESULTS = False


class NearDuplicateSettings(Section):
    """When two texts count as near-duplicates."""

    shingle: int = Field(5, ge=1, le=100)
    """Length of a shingle in characters. A text is compared by the set of its shingles."""
    similarity: Similarity = 0.8
    """Two texts are near-duplicates if the Jaccard similarity of their shingles is at least this
    value."""


class Balance(Section):
    """How evenly the topics are distributed over the question types."""

    largest_to_median: float = Field(2.0, ge=1, le=1_000_000)
    """A question type keeps at most this many times the topics of the median type."""


class Topics(Sampling):
    """Generation of topics, and their deduplication."""

    examples_per_prompt: Few = 5
    """Number of example topics in a prompt."""
    prompts_per_type: Few = 1
    """Number of prompts for each question type in a round."""
    topics_per_prompt: Few = 40
    """Number of new topics that a prompt asks for."""
    max_new_tokens: Tokens = 300
    """Maximum number of tokens of a completion."""
    temperature: Temperature = 1.0
    """Sampling temperature. 0 means greedy decoding."""
    near_duplicates: NearDuplicateSettings = NearDuplicateSettings()
    """When two topics are near-duplicates."""
    balance: Balance = Balance()
    """How evenly the topics are distributed over the question types."""


class Questions(Sampling):
    """Generation of questions, and their deduplication."""

    examples_per_prompt: Few = 5
    """Number of seed questions in a prompt."""
    hints_per_prompt: Few = 15
    """Number of hints in a prompt. A hint is a question type with a topic. The LLM writes one line
    for each hint."""
    attempts: Few = 3
    """Maximum number of times that a hint is sent, until the LLM has written a question for it."""
    max_new_tokens: Tokens = 1000
    """Maximum number of tokens of a completion."""
    temperature: Temperature = 1.0
    """Sampling temperature. 0 means greedy decoding."""
    near_duplicates: NearDuplicateSettings = NearDuplicateSettings()
    """When two questions are near-duplicates."""


class Pairs(Sampling):
    """Generation of response, critique and correction."""

    max_new_tokens: Tokens = 1500
    """Maximum number of tokens of a completion."""
    repetition_penalty: RepetitionPenalty = 1.0
    """Repetition penalty. 1 means no penalty."""
    least_usable: NotDeciding[Share] = 0.2
    """A job stops after its first 50 pairs if a smaller share of them can be used: the teacher does
    not write what the prompt asks for. 0 means that no job stops."""


class Language(Section):
    """When a text is in none of the criterion's languages."""

    minimum_words: Few = 5
    """A text with fewer words, in plain letters, is kept, because it is too short to be
    classified."""
    minimum_ratio: Share = 0.3
    """A text is not in a language if its probability, divided by that of the most probable
    language, is below this value. If the words without names are clearly in the language, the text
    is kept; if they are clearly not, it is dropped."""


class Cleaning(Section):
    """Filters of the pairs."""

    language: Language = Language()
    """When a text is in none of the criterion's languages."""


class SplitSettings(Section):
    """How questions are grouped before the groups are divided into training, validation and
    test."""

    near_duplicates: NearDuplicateSettings = NearDuplicateSettings()
    """When two questions are near-duplicates and so in the same group. All questions of a group are
    in the same split."""
    by_ending: bool = False
    """If `true`, questions that end in the same sentence are in the same split. For questions that
    are made from templates."""


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
    """How questions are grouped before the groups are divided into training, validation and
    test."""
