"""Figures of the aligners: their loss curves."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.ticker import LogLocator

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.core.formats import decimal
from aligners.core.rows import read_json
from aligners.report.figures.svg import BLUE, INK, VERMILION, new_figure, save_svg
from aligners.report.models import TrainingMetrics

# More points make a larger file that looks the same on the page.
POINTS = 300
# The axis is logarithmic if the highest loss is at least this many times the lowest.
LOGARITHMIC = 10


def draw_aligners(experiment: Experiment, directory: Path) -> None:
    """Draw the losses of every trained aligner, including external ones."""
    for path in experiment.aligner_files(results.ALIGNER_METRICS):
        names = results.ALIGNER_METRICS.names(path).values()
        losses = read_json(path, TrainingMetrics)["losses"]
        draw_losses(losses, ", ".join(names), directory.joinpath(*names, "losses.svg"))


def draw_losses(losses: Sequence[dict[str, Any]], name: str, path: Path) -> None:
    """Draw the training and the validation loss over the steps.

    Args:
        losses: entries with `step` and `train_loss` or `validation_loss`.
        name: of the model, for the title.
        path: of the SVG file.
    """
    training = [(entry["step"], entry["train_loss"]) for entry in losses if "train_loss" in entry]
    validation = [
        (entry["step"], entry["validation_loss"]) for entry in losses if "validation_loss" in entry
    ]
    figure, axes = new_figure(2.2)
    if training:
        chunks = np.array_split(np.array(training), min(POINTS, len(training)))
        means = np.array([chunk.mean(axis=0) for chunk in chunks])
        axes.plot(means[:, 0], means[:, 1], color=BLUE, linewidth=0.8, label="training")
    description = "No validation."
    if validation:
        steps, values = zip(*validation, strict=True)
        axes.plot(steps, values, color=VERMILION, marker="o", label="validation")
        best = int(np.argmin(values))
        axes.plot(steps[best], values[best], "o", markersize=9, fillstyle="none", color=INK)
        description = (
            f"The validation loss goes from {decimal(values[0])} at step {steps[0]} to "
            f"{decimal(values[-1])} at step {steps[-1]}; the best is {decimal(values[best])} "
            f"at step {steps[best]}, circled."
        )
    axes.set(xlabel="training step", ylabel="loss (nats per token)")
    lowest, highest = axes.dataLim.intervaly
    if 0 < LOGARITHMIC * lowest <= highest:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    axes.grid()
    axes.legend()
    save_svg(figure, path, f"{name}: losses; the kept weights are circled", description)
