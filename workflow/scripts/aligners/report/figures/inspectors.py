"""Figures of an inspector on its test rows: ROC curve, reliability diagram, confusion."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from pydantic import BaseModel
from sklearn.metrics import confusion_matrix, roc_auc_score, roc_curve

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.core.errors import UserError
from aligners.core.file_checks import Probability
from aligners.core.formats import decimal, percent
from aligners.core.rows import Row, read_json, read_rows
from aligners.report.figures.svg import BLUE, GREY, INK, error_bars, new_figure, save_svg
from aligners.statistics.intervals import Estimate, share

BINS = 10  # of the reliability diagram
CLASSES = ("misaligned", "aligned")

FIELDS = ("id", "label", "score")


class Metrics(BaseModel):
    """The metric of an inspector that the figures need."""

    threshold: Probability


def draw_inspectors(experiment: Experiment, directory: Path) -> None:
    """Draw the figures of every inspector."""
    for path in experiment.files(results.INSPECTOR_SCORES):
        names = results.INSPECTOR_SCORES.names(path)
        threshold = read_json(results.INSPECTOR_METRICS.path(**names), Metrics)["threshold"]
        rows = read_rows(path, FIELDS)
        if not rows:
            raise UserError(f"{path}: no row; delete the file and run again")
        name, place = ", ".join(names.values()), directory.joinpath(*names.values())
        draw_inspector(rows, threshold, name, place)


def draw_inspector(rows: list[Row], threshold: float, name: str, directory: Path) -> None:
    """Draw the figures of an inspector.

    Args:
        rows: the rows of test_scores.jsonl.
        threshold: lowest score of a row that is predicted aligned.
        name: the inspector's name, for titles.
        directory: directory of the SVG files.
    """
    labels = np.array([row["label"] for row in rows])
    scores = np.array([row["score"] for row in rows])
    if len(set(labels.tolist())) == 2:
        draw_roc(labels, scores, threshold, name, directory / "roc.svg")
    draw_reliability(labels, scores, name, directory / "reliability.svg")
    draw_confusion(labels, scores >= threshold, name, directory / "confusion.svg")


def draw_roc(
    labels: NDArray[np.integer],
    scores: NDArray[np.floating],
    threshold: float,
    name: str,
    path: Path,
) -> None:
    """Draw the ROC curve, with a point at the threshold."""
    false_positives, true_positives, _ = roc_curve(labels, scores)
    area = roc_auc_score(labels, scores)
    predicted = scores >= threshold
    point = predicted[labels == 0].mean(), predicted[labels == 1].mean()
    figure, axes = new_figure(2.9)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    axes.plot(false_positives, true_positives, color=BLUE, clip_on=False)
    axes.plot(*point, marker="o", color=INK, clip_on=False)
    # A good curve lies in the upper left corner, so text in the middle does not cover it.
    axes.annotate(
        f"at threshold {decimal(threshold, 2)}",
        point,
        (0.35, 0.55),
        arrowprops={"arrowstyle": "-", "color": INK, "lw": 0.6, "shrinkB": 4},
    )
    axes.set(
        xlabel="share of misaligned rows predicted aligned",
        ylabel="share of aligned rows predicted aligned",
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        aspect="equal",
    )
    axes.grid()
    description = (
        f"ROC curve with area {decimal(area)}. At the threshold "
        f"{decimal(threshold)}, {percent(point[1])} of the aligned rows and "
        f"{percent(point[0])} of the misaligned rows are predicted aligned."
    )
    save_svg(figure, path, f"{name}: ROC curve, area {decimal(area)}", description)


def reliability(
    labels: NDArray[np.integer], scores: NDArray[np.floating]
) -> tuple[list[float], list[Estimate]]:
    """Return the mean score of each bin that has rows, and the share of its rows that are aligned.

    Args:
        labels: 1 for aligned, 0 for misaligned rows; shape (rows,).
        scores: P(aligned) by the inspector; shape (rows,).
    """
    bin_of_row = np.minimum((scores * BINS).astype(int), BINS - 1)
    masks = [bin_of_row == number for number in range(BINS) if (bin_of_row == number).any()]
    mean_scores = [float(scores[mask].mean()) for mask in masks]
    return mean_scores, [share(labels[mask] == 1) for mask in masks]


def draw_reliability(
    labels: NDArray[np.integer], scores: NDArray[np.floating], name: str, path: Path
) -> None:
    """Draw the share of aligned rows against the mean score, by bin of scores."""
    mean_scores, shares = reliability(labels, scores)
    figure, axes = new_figure(2.9)
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1)
    _, values, errors = error_bars(mean_scores, [asdict(estimate) for estimate in shares])
    axes.errorbar(mean_scores, values, errors, fmt="o", color=BLUE, elinewidth=1, clip_on=False)
    # Centred in its bin and above the axes, no number overlaps another number or a point.
    for x, estimate in zip(mean_scores, shares, strict=True):
        middle = (min(int(x * BINS), BINS - 1) + 0.5) / BINS
        axes.text(middle, 1.06, f"{estimate.n}", rotation=90, ha="center", va="bottom")
    axes.set(
        xlabel="P(aligned) by the inspector",
        ylabel="share of aligned rows",
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        aspect="equal",
    )
    axes.grid()
    description = "; ".join(
        f"of {estimate.n} rows with mean score {decimal(x, 2)}, {percent(y)} are aligned"
        for x, y, estimate in zip(mean_scores, values, shares, strict=True)
    )
    title = f"{name}: reliability, with 95% intervals; on top, rows in each bin"
    save_svg(figure, path, title, description)


def draw_confusion(
    labels: NDArray[np.integer], predicted: NDArray[np.bool_], name: str, path: Path
) -> None:
    """Draw the confusion matrix at the threshold."""
    # (2, 2): true class x predicted class.
    counts = confusion_matrix(labels, predicted.astype(int), labels=[0, 1])
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, axes = new_figure(2.9)
    for row in range(2):
        for column in range(2):
            # Opacity instead of a colour map, to be readable on light and dark pages.
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
    axes.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), aspect="equal")
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_xticks([0, 1], CLASSES)
    axes.set_yticks([0, 1], CLASSES, rotation=90, va="center")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    description = "; ".join(
        f"{CLASSES[row]}, predicted {CLASSES[column]}: {counts[row, column]}"
        for row in range(2)
        for column in range(2)
    )
    save_svg(figure, path, f"{name}: confusion matrix at its threshold", description)
