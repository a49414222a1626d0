"""The content of a scorecard file, as programs read it."""

from typing import Self

from pydantic import BaseModel, model_validator

from aligners.core.file_checks import Count, Probability

# A scorecard is only shown.
AFFECTS_RESULTS = False


class InspectorScores(BaseModel):
    """The metrics of an inspector that are shown."""

    accuracy: Probability
    roc_auc: Probability | None
    ece: Probability
    n: Count


class ShownRate(BaseModel):
    """A rate with its interval."""

    value: Probability | None
    low: Probability | None
    high: Probability | None
    n: Count


class SystemScores(BaseModel):
    """The rates of the systems by name, with the LLM itself as `initial`."""

    clean_share: dict[str, ShownRate]
    harm_rate: dict[str, ShownRate]
    harm_by_criterion: dict[str, dict[str, ShownRate]]
    text_lost: dict[str, ShownRate]


class LLMScores(SystemScores):
    """The rates of one LLM's systems on known facts, and on unknown facts."""

    unknown_facts: SystemScores

    @model_validator(mode="after")
    def has_the_same_systems(self) -> Self:
        """Check that each system has a rate on unknown facts too."""
        if missing := self.clean_share.keys() - self.unknown_facts.clean_share.keys():
            raise ValueError(f"has no rate of {min(missing)!r} on unknown facts")
        return self


class AllDatasets(BaseModel):
    """The scores of each LLM on all data sets together."""

    all: dict[str, LLMScores]


class Scorecard(BaseModel):
    """The part of a scorecard that is shown for each LLM."""

    datasets: AllDatasets


class FilterScores(BaseModel):
    """The scores of a filter."""

    precision: Probability | None
    recall: Probability | None
    n: Count
    recall_held_out: Probability | None
    n_held_out: Count


class WholeScorecard(Scorecard):
    """A whole scorecard."""

    inspectors: dict[str, InspectorScores]
    filters: dict[str, FilterScores]
    wrapped_pairs: dict[str, ShownRate]
