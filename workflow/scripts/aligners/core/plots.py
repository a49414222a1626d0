"""Plots of losses and of data, as PNG files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")  # Jobs run on servers without a display.

import matplotlib.pyplot as plt

from aligners.core.rows import atomic_path

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False


def plot_losses(
    losses: Sequence[dict[str, Any]], path: Path, unit: str = "token", title: str = ""
) -> None:
    """Plot the training and validation loss per `unit` over the steps, as PNG.

    `losses` has entries with `step` and `train_loss` or `validation_loss`.
    """
    figure, axes = plt.subplots(figsize=(7, 4))
    # Every step has a training loss, so its line is thin. The few evaluations are points.
    for key, label, style in (
        ("train_loss", "training", {"linewidth": 0.6}),
        ("validation_loss", "validation", {"marker": "o"}),
    ):
        points = [(entry["step"], entry[key]) for entry in losses if key in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=label, **style)
    axes.set(xlabel="training step", ylabel=f"loss (nats per {unit})", title=title)
    axes.legend()
    save(figure, path)


def plot_histogram(
    values: Sequence[float], path: Path, xlabel: str, threshold: float | None = None
) -> None:
    """Plot a histogram of the rows' values, with a line at the threshold if it is given."""
    figure, axes = plt.subplots(figsize=(7, 4))
    axes.hist(values, bins=50)
    axes.set(xlabel=xlabel, ylabel="rows")
    if threshold is not None:
        axes.axvline(threshold, color="black", linestyle="--", label=f"threshold {threshold:g}")
        axes.legend()
    save(figure, path)


def save(figure: Any, path: Path) -> None:
    """Write a figure as PNG, atomically."""
    with atomic_path(path) as partial:
        figure.savefig(partial, format="png", dpi=120, bbox_inches="tight")
    plt.close(figure)
