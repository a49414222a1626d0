"""Sections of the page on the trained models: inspectors and aligners."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.core.rows import read_json
from aligners.statistics.intervals import share


def inspectors_section(experiment: Experiment) -> list[dict[str, Any]]:
    """Return what `trained` does of each inspector, and its accuracy on the test rows."""
    section = []
    for names in results.INSPECTOR.combinations(experiment.names):
        metrics = read_json(results.INSPECTOR_METRICS.path(**names))
        model = trained(results.INSPECTOR.path(**names), metrics)
        named = {"recipe": names["inspector"], "name": names["criterion"]}
        section.append({**named, **model, "accuracy": accuracy(metrics)})
    return section


def aligners_section(experiment: Experiment) -> list[dict[str, Any]]:
    """Return what `trained` does of each aligner, external ones included."""
    section = []
    for path in experiment.aligner_files(results.ALIGNER):
        names = results.ALIGNER.names(path)
        metrics = read_json(results.ALIGNER_METRICS.path(**names))
        named = {"recipe": names["backbone"], "name": names["aligner"]}
        section.append({**named, **trained(path, metrics)})
    return section


def trained(model: Path, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the metrics and the training record of a model."""
    return {"metrics": metrics, "training": read_json(model / "training.json")}


def accuracy(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return an inspector's accuracy as an estimate."""
    right = round(metrics["accuracy"] * metrics["n"])
    return asdict(share(row < right for row in range(metrics["n"])))
