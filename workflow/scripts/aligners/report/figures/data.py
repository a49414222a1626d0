"""Figures of the data: rows kept and dropped by step, and the similarity of a pair's texts."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.formats import decimal
from aligners.core.rows import read_rows
from aligners.report.data import step_counts
from aligners.report.figures.svg import BLUE, GREY, INK, VERMILION, draw_bars, new_figure, save_svg


def draw_data(experiment: Experiment, directory: Path) -> None:
    """Draw the counts of every criterion, and the similarities of its pairs on a shared axis."""
    similarities = {}
    for criterion in experiment.names["criterion"]:
        draw_counts(experiment, criterion, directory / criterion / "counts.svg")
        rows = read_rows(results.SIMILARITY.path(criterion=criterion), needs=("id", "similarity"))
        similarities[criterion] = [row["similarity"] for row in rows]
    lowest = min((value for values in similarities.values() for value in values), default=0.0)
    for criterion, values in similarities.items():
        near_copy = load_recipe(CriterionRecipe, criterion).near_copy_similarity
        path = directory / criterion / "similarity.svg"
        draw_similarity(np.array(values), criterion, near_copy, lowest, path)


def draw_counts(experiment: Experiment, criterion: str, path: Path) -> None:
    """Draw how many rows each step of a criterion kept and dropped."""
    steps = step_counts(experiment, criterion)
    figure, axes = new_figure(0.6 + 0.27 * len(steps))
    parts = {
        "kept": (BLUE, [step["out"] for step in steps]),
        "dropped": (VERMILION, [step["faulty"] for step in steps]),
        "not needed": (GREY, [step["surplus"] for step in steps]),
    }
    draw_bars(axes, [step["step"] for step in steps], parts, "rows")
    description = "; ".join(
        f"{step['step']} kept {step['out']} of {step['in']}, {step['surplus']} were not needed"
        for step in steps
    )
    save_svg(figure, path, f"{criterion}: rows kept and dropped by step", description)


def draw_similarity(
    values: NDArray[np.floating], criterion: str, near_copy: float, lowest: float, path: Path
) -> None:
    """Draw the histogram from `lowest` to 1, with a line where near copies begin, if any do."""
    figure, axes = new_figure(2.2)
    axes.hist(values, bins=50, range=(lowest, 1), color=BLUE)
    axes.set(xlabel="similarity of response and correction", ylabel="pairs")
    if near_copy < 1:
        axes.axvline(near_copy, color=INK, linestyle="--", linewidth=1)
        axes.set_title(f"dashed line: near copies from {near_copy:g}", loc="right")
    description = "No pairs."
    if len(values):
        low, middle, high = np.percentile(values, [25, 50, 75])
        description = (
            f"Histogram of {len(values)} pairs: half lie between {decimal(low, 2)} and "
            f"{decimal(high, 2)}, the median is {decimal(middle, 2)}."
        )
    save_svg(figure, path, f"{criterion}: similarity of response and correction", description)
