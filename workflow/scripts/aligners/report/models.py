"""What the page says of the trained models: inspectors and aligners."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aligners.core.rows import read_json
from aligners.statistics.intervals import share


def model_section(metrics: Sequence[Path]) -> list[dict[str, Any]]:
    """Return name, metrics and training record of each model.

    Args:
        metrics: metrics.json of each model, as `{recipe}/{name}/metrics.json`; the model is beside.
    """
    return [
        {
            "recipe": path.parent.parent.name,
            "name": path.parent.name,
            "metrics": read_json(path),
            "training": read_json(path.parent / "model" / "training.json"),
        }
        for path in metrics
    ]


def inspector_section(metrics: Sequence[Path]) -> list[dict[str, Any]]:
    """Return what `model_section` does, and the accuracy on the test rows with its interval."""
    return [{**model, "accuracy": accuracy(model["metrics"])} for model in model_section(metrics)]


def accuracy(metrics: dict[str, Any]) -> dict[str, Any]:
    """Return an inspector's accuracy as an estimate."""
    right = round(metrics["accuracy"] * metrics["n"])
    return asdict(share(row < right for row in range(metrics["n"])))
