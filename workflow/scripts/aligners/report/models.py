"""The inspectors section and the aligners section of the page."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.configuration.results import TRAINING_RECORD
from aligners.configuration.seeds import recipe_of
from aligners.core.file_checks import Count, Probability
from aligners.core.rows import read_json
from aligners.core.spread import spread
from aligners.statistics.intervals import share


class Loss(BaseModel):
    """A loss of a training."""

    step: Count
    train_loss: float = 0.0
    validation_loss: float = 0.0


class TrainingMetrics(BaseModel):
    """What the page shows of the metrics of each training."""

    train_rows: Count
    losses: list[Loss]


class InspectorMetrics(TrainingMetrics):
    """What the page shows of an inspector's metrics."""

    n: Count
    accuracy: Probability
    roc_auc: Probability | None
    ece: Probability
    ece_uncalibrated: Probability
    brier: Probability
    temperature: float
    threshold: Probability


class AlignerMetrics(TrainingMetrics):
    """What the page shows of an aligner's metrics."""

    parameters: Count
    dropped: Count
    steps: Count
    best_step: Count
    validation_loss: float


class TrainingRecord(BaseModel):
    """What the page shows of training.json."""

    versions: dict[str, str]
    hardware: dict[str, Any]
    hours: float
    tokens_per_second: float


def inspectors_section(experiment: Experiment) -> list[dict[str, Any]]:
    """Return metrics, training record and test accuracy of each inspector."""
    section = []
    for names in results.INSPECTOR.combinations(experiment.names):
        metrics = read_json(results.INSPECTOR_METRICS.path(**names), InspectorMetrics)
        record = model_record(results.INSPECTOR.path(**names), metrics)
        labels = {"recipe": names["inspector"], "name": names["criterion"]}
        section.append({**labels, **record, "accuracy": accuracy(metrics)})
    return section


def inspectors_over_seeds(section: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the spread of the shown metrics over the training seeds; nothing with one seed.

    Args:
        section: what inspectors_section returns.
    """
    trainings: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for model in section:
        key = (recipe_of(model["recipe"]), model["name"])
        trainings.setdefault(key, []).append(model["metrics"])
    return [
        {
            "recipe": recipe,
            "name": name,
            **{
                metric: asdict(spread(one[metric] for one in metrics))
                for metric in ("accuracy", "roc_auc", "ece")
            },
        }
        for (recipe, name), metrics in trainings.items()
        if len(metrics) > 1
    ]


def aligners_section(experiment: Experiment) -> list[dict[str, Any]]:
    """Return metrics and training record of each aligner, including external ones."""
    section = []
    for path in experiment.aligner_files(results.ALIGNER):
        names = results.ALIGNER.names(path)
        metrics = read_json(results.ALIGNER_METRICS.path(**names), AlignerMetrics)
        labels = {"recipe": names["backbone"], "name": names["aligner"]}
        section.append({**labels, **model_record(path, metrics)})
    return section


def model_record(model: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics and the training record of a model."""
    return {"metrics": metrics, "training": read_json(model / TRAINING_RECORD, TrainingRecord)}


def accuracy(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return an inspector's accuracy with its interval."""
    correct = round(metrics["accuracy"] * metrics["n"])
    return asdict(share(row < correct for row in range(metrics["n"])))
