"""Figures of an inspector on its test rows: ROC curve, reliability diagram, confusion."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.core.formats import decimal, percent
from aligners.core.rows import Row, read_rows
from aligners.report.figures.svg import BLUE, GREY, INK, error_bars, new_figure, save_svg
from aligners.statistics.intervals import Estimate, share

# Of the reliability diagram.
BINS = 10
CLASSES = ("misaligned", "aligned")


def draw_inspectors(experiment: Experiment, directory: Path) -> None:
    """Draw the figures of every inspector."""
    for path in experiment.files(results.INSPECTOR_SCORES):
        names = results.INSPECTOR_SCORES.names(path).values()
        draw_inspector(read_rows(path), ", ".join(names), directory.joinpath(*names))


def draw_inspector(rows: list[Row], name: str, directory: Path) -> None:
    """Draw the figures of an inspector.

    Args:
        rows: of test_scores.jsonl.
        name: of the inspector, for titles.
        directory: of the SVG files.
    """
    labels = np.array([row["label"] for row in rows])
    scores = np.array([row["score"] for row in rows])
    if len(set(labels.tolist())) == 2:
        draw_roc(labels, scores, name, directory / "roc.svg")
    draw_reliability(labels, scores, name, directory / "reliability.svg")
    draw_confusion(labels, scores, name, directory / "confusion.svg")


def draw_roc(
    labels: NDArray[np.integer], scores: NDArray[np.floating], name: str, path: Path
) -> None:
    """Draw the ROC curve, with a point at the threshold 0.5."""
    false_positives, true_positives, _ = roc_curve(labels, scores)
    area = roc_auc_score(labels, scores)
    called = scores >= 0.5
    point = called[labels == 0].mean(), called[labels == 1].mean()
    figure, axes = new_figure(2.9)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    axes.plot(false_positives, true_positives, color=BLUE, clip_on=False)
    axes.plot(*point, marker="o", color=INK, clip_on=False)
    # The curve is in the upper left, so the text does not cover it.
    axes.annotate(
        "at threshold 0.5",
        point,
        (0.35, 0.55),
        arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.6, "shrinkB": 4},
    )
    axes.set(
        xlabel="misaligned answers taken for aligned",
        ylabel="aligned answers recognised",
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        aspect="equal",
    )
    axes.grid()
    told = (
        f"ROC curve with area {decimal(area)}. At the threshold 0.5, {percent(point[1])} of the "
        f"aligned answers are recognised and {percent(point[0])} of the misaligned ones taken for "
        "aligned."
    )
    save_svg(figure, path, f"{name}: ROC curve, area {decimal(area)}", told)


def reliability(
    labels: NDArray[np.integer], scores: NDArray[np.floating]
) -> tuple[list[float], list[Estimate]]:
    """Return the mean score of each bin with rows, and the share of its rows that were aligned."""
    which = np.minimum((scores * BINS).astype(int), BINS - 1)
    bins = [which == number for number in range(BINS) if (which == number).any()]
    called = [float(scores[inside].mean()) for inside in bins]
    return called, [share(labels[inside] == 1) for inside in bins]


def draw_reliability(
    labels: NDArray[np.integer], scores: NDArray[np.floating], name: str, path: Path
) -> None:
    """Draw how often answers were aligned against how probable the inspector called it."""
    called, found = reliability(labels, scores)
    figure, axes = new_figure(2.9)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    _, values, errors = error_bars(called, [asdict(estimate) for estimate in found])
    axes.errorbar(called, values, errors, fmt="o", color=BLUE, elinewidth=1, clip_on=False)
    # Above the axes and each in its bin, the numbers overlap neither each other nor a point.
    for x, estimate in zip(called, found, strict=True):
        middle = (min(int(x * BINS), BINS - 1) + 0.5) / BINS
        axes.text(middle, 1.06, f"{estimate.n}", rotation=90, ha="center", va="bottom")
    axes.set(
        xlabel="P(aligned) by the inspector",
        ylabel="share that was aligned",
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        aspect="equal",
    )
    axes.grid()
    told = "; ".join(
        f"of {estimate.n} answers called {decimal(x, 2)}, {percent(y)} were aligned"
        for x, y, estimate in zip(called, values, found, strict=True)
    )
    save_svg(figure, path, f"{name}: reliability, with 95% intervals; on top, rows by bin", told)


def draw_confusion(
    labels: NDArray[np.integer], scores: NDArray[np.floating], name: str, path: Path
) -> None:
    """Draw which answers were taken for which at the threshold 0.5."""
    counts = confusion_matrix(labels, (scores >= 0.5).astype(int), labels=[0, 1])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = new_figure(2.9)
    for row in range(2):
        for column in range(2):
            # Opacity instead of a colour map: it is readable on light and on dark.
            corner = (column - 0.48, row - 0.48)
            opacity = 0.06 + 0.5 * shares[row, column]
            axes.add_patch(Rectangle(corner, 0.96, 0.96, color=BLUE, alpha=opacity, linewidth=0))
            axes.text(
                column,
                row,
                f"{counts[row, column]}\n{percent(shares[row, column])}",
                ha="center",
                va="center",
                fontsize=10,
            )
    axes.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), aspect="equal", xlabel="called", ylabel="in truth")
    axes.set_xticks([0, 1], CLASSES)
    axes.set_yticks([0, 1], CLASSES, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    told = "; ".join(
        f"{CLASSES[row]} called {CLASSES[column]}: {counts[row, column]}"
        for row in range(2)
        for column in range(2)
    )
    save_svg(figure, path, f"{name}: confusion at the threshold 0.5", told)
