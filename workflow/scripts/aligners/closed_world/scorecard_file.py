"""The content of a scorecard file, as programs read it."""

from typing import Generic, Self, TypeVar

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


class ShownSpread(BaseModel):
    """The spread of a score over training seeds."""

    mean: float | None
    sd: float | None
    min: float | None
    max: float | None
    seeds: Count


R = TypeVar("R", ShownRate, ShownSpread)
M = TypeVar("M", float, ShownSpread)


class SystemScores(BaseModel, Generic[R]):
    """The rates of the systems by name, with the LLM itself as `initial`, or their spreads."""

    clean_share: dict[str, R]
    harm_rate: dict[str, R]
    harm_by_criterion: dict[str, dict[str, R]]
    text_lost: dict[str, R]


class LLMScores(SystemScores[R], Generic[R]):
    """The rates of one LLM's systems on known facts, and on unknown facts."""

    unknown_facts: SystemScores[R]

    @model_validator(mode="after")
    def has_the_same_systems(self) -> Self:
        """Check that each system has a rate on unknown facts too."""
        pairs = [
            (getattr(self, name), getattr(self.unknown_facts, name))
            for name in ("clean_share", "harm_rate", "harm_by_criterion", "text_lost")
        ]
        pairs += [
            (known, pairs[2][1].get(system, {})) for system, known in self.harm_by_criterion.items()
        ]
        for known, unknown in pairs:
            if missing := known.keys() - unknown.keys():
                raise ValueError(f"has no rate of {min(missing)!r} on unknown facts")
        return self


class AllDatasets(BaseModel, Generic[R]):
    """The scores of each LLM on all data sets together."""

    all: dict[str, LLMScores[R]]


class InspectorSpreads(BaseModel):
    """The spreads of an inspector's metrics over training seeds."""

    accuracy: ShownSpread
    roc_auc: ShownSpread
    ece: ShownSpread


class ResponseScores(BaseModel, Generic[M]):
    """The metrics of an inspector on the responses of an LLM; without responses, only n."""

    n: M
    accuracy: M | None = None
    brier: M | None = None
    ece: M | None = None


class ResponseScoresByKnowledge(BaseModel, Generic[M]):
    """The metrics of each criterion's inspector on known and on unknown facts."""

    known_facts: dict[str, ResponseScores[M]]
    unknown_facts: dict[str, ResponseScores[M]]


class SeedScores(BaseModel):
    """The spreads of the scores over training seeds."""

    inspectors: dict[str, InspectorSpreads]
    responses: dict[str, ResponseScoresByKnowledge[ShownSpread]]
    datasets: AllDatasets[ShownSpread]


class Scorecard(BaseModel):
    """The part of a scorecard that is shown for each LLM; `seeds` with several training seeds."""

    datasets: AllDatasets[ShownRate]
    seeds: SeedScores | None = None


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
    responses: dict[str, ResponseScoresByKnowledge[float]]
