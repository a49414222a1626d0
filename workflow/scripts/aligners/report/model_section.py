"""What the page says of the trained models: inspectors and aligners."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aligners.rows import read_json


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
