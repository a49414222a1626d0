"""Judges, which compare two responses."""

from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, model_validator

from aligners.configuration.fields import (
    File,
    Line,
    Name,
    NotDeciding,
    Recipe,
    Section,
    Share,
    Tokens,
    WrongKey,
    shortened,
)
from aligners.configuration.kinds.pretrained import ModelName, PretrainedRecipe
from aligners.core.rows import read_text

AFFECTS_RESULTS = False

JUDGED_TEXTS = ("{instruction}", "{output_1}", "{output_2}")


def has_each_text_once(prompt: Path) -> Path:
    """Return the file of a judge's prompt.

    Raises:
        ValueError: one of the judged texts does not occur exactly once.
    """
    content = read_text(prompt)
    for text in JUDGED_TEXTS:
        if content.count(text) != 1:
            raise ValueError(
                f"{prompt} contains {text} {content.count(text)} times; change the prompt so that "
                "it contains it once"
            )
    return prompt


class Labels(Section):
    """The replies of an LLM that are verdicts."""

    first: Line
    """Label of the first response in a reply. With `logprobs`, one token of the LLM."""
    second: Line
    """Label of the second response in a reply. With `logprobs`, one token of the LLM."""
    tie: Line | None = None
    """Label if neither response is better. Only with `logprobs: false`."""

    @property
    def all(self) -> list[str]:
        """The labels: two, or three with a tie."""
        return [label for label in (self.first, self.second, self.tie) if label is not None]

    @model_validator(mode="after")
    def differ(self) -> "Labels":
        """Check that the labels differ, also without the white space around them."""
        plain = [label.strip() for label in self.all]
        for label in plain:
            if plain.count(label) > 1:
                raise ValueError(f"{shortened(label)} occurs twice; choose labels that differ")
        return self


class JudgeRecipe(Recipe):
    """A judge that compares two responses: an LLM, or PairRM. Give either `llm` or `model`."""

    folder: ClassVar[str] = "judges"

    @classmethod
    def class_for(cls, values: dict[str, Any]) -> "type[JudgeRecipe]":
        """Return the class for an LLM, or for PairRM if the recipe names a model alone."""
        return PairRMRecipe if "model" in values and "llm" not in values else LLMJudgeRecipe


class LLMJudgeRecipe(JudgeRecipe):
    """An LLM as a judge."""

    chosen_by: ClassVar[str] = "llm"

    llm: Name
    """LLM of config/llms/ that judges. It must have the engine `openai` or `served`, and `chat:
    true`."""
    prompt: Annotated[File, AfterValidator(has_each_text_once)]
    """Text file with the prompt. It contains {instruction}, {output_1} and {output_2}, each exactly
    once. The prompt is sent as one message."""
    labels: Labels
    """Replies of the LLM that are verdicts."""
    logprobs: bool = True
    """If `true`, the preference is the probability of one label against the other as the first
    token of the reply, with or without white space around it. If `false`, the preference is the
    label that the reply names as a whole word. If it names several, a statement such as "Verdict:
    M" or "M is better than m.", its last line or bold text decides, if that names one. Thoughts
    before the verdict are removed."""
    max_new_tokens: Tokens = 1
    """Maximum number of tokens of a reply."""
    most_unusable: NotDeciding[Share] = 0.1
    """The run stops if a larger share of the replies has no label, because the prompt then does not
    work with this LLM."""

    @model_validator(mode="after")
    def tie_has_no_token(self) -> "LLMJudgeRecipe":
        """Check that a tie is used without log-probabilities only."""
        if self.logprobs and self.labels.tie is not None:
            raise WrongKey(
                "labels.tie",
                "labels.tie is only for a judge with logprobs: false; remove labels.tie, or set "
                "logprobs: false",
            )
        return self


class PairRMRecipe(JudgeRecipe, PretrainedRecipe):
    """PairRM, a ranking model."""

    chosen_by: ClassVar[str] = "model"

    model: ModelName
    """Repository of PairRM on the Hugging Face Hub, or a local directory with a copy of it."""
