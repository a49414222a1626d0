"""The scorecard over several training seeds: the values, the mean and the spread of each score."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from aligners.closed_world.responses import CalibrationErrors, inspectors_on_responses
from aligners.closed_world.scorecard import dataset_scores, inspector_scores
from aligners.closed_world.truth import Truth
from aligners.configuration.scored_results import ScoredResults
from aligners.configuration.seeds import name_with_seed
from aligners.core.spread import spread

SPREAD_METRICS = ("accuracy", "roc_auc", "ece")


def scores_over_seeds(
    scored: ScoredResults,
    truth: Truth,
    seeds: Sequence[int],
    calibration_errors: CalibrationErrors,
) -> dict[str, Any]:
    """Return the spread of the scores that depend on a training, nested as in the scorecard.

    In place of a metric or a rate is its value for each seed, with the fields of
    `core.spread.Spread`. The scores of the LLMs and of external aligners are left out: they have
    no other seed.
    """
    of_seeds = {seed: of_seed(scored, seed, seeds) for seed in seeds}
    return merge(
        {
            seed: trained_scores(results, truth)
            | {"responses": inspectors_on_responses(results, truth, calibration_errors)}
            for seed, results in of_seeds.items()
        }
    )


def of_seed(scored: ScoredResults, seed: int, seeds: Sequence[int]) -> ScoredResults:
    """Return the results of the inspector and the aligners with a seed."""
    return replace(
        scored,
        inspector=name_with_seed(scored.inspector, seed, seeds),
        backbone=name_with_seed(scored.backbone, seed, seeds),
        external=[],
    )


def trained_scores(scored: ScoredResults, truth: Truth) -> dict[str, Any]:
    """Return the scores of the inspector and of the systems of our aligners."""
    return {
        "inspectors": {
            criterion: {name: metrics[name] for name in SPREAD_METRICS}
            for criterion, metrics in inspector_scores(scored).items()
        },
        "datasets": {
            pool: {llm: scores_of_systems(scores, scored.systems) for llm, scores in llms.items()}
            for pool, llms in dataset_scores(scored, truth).items()
        },
    }


def scores_of_systems(scores: Mapping[str, Any], systems: Sequence[str]) -> dict[str, Any]:
    """Return the scores of some systems, also on unknown facts."""
    return {
        name: scores_of_systems(part, systems)
        if name == "unknown_facts"
        else {system: part[system] for system in systems}
        for name, part in scores.items()
    }


def merge(parts: Mapping[int, Any]) -> dict[str, Any]:
    """Return nested scores of several seeds as one, with the spread in place of each score."""
    first = next(iter(parts.values()))
    if isinstance(first, dict) and "value" in first:  # a rate
        return merge({seed: part["value"] for seed, part in parts.items()})
    if isinstance(first, dict):
        return {key: merge({seed: part[key] for seed, part in parts.items()}) for key in first}
    return {
        "values": {str(seed): value for seed, value in parts.items()},
        **asdict(spread(parts.values())),
    }
