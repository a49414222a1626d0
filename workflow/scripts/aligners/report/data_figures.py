"""Figures of the data: what each step kept and dropped, and how alike the answers of a pair are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from aligners.report.data_section import step_counts
from aligners.report.svg import BLUE, GREY, INK, VERMILION, draw_bars, new_figure, save_svg
from aligners.rows import read_rows


def draw_counts(paths: Sequence[Path], criterion: str, path: Path) -> None:
    """Draw how many rows each step of a criterion kept and dropped.

    Args:
        paths: counts files of the criterion, in the order of the steps.
        criterion: whose they are.
        path: of the SVG file.
    """
    steps = step_counts(paths)
    figure, axes = new_figure(0.6 + 0.27 * len(steps))
    parts = {
        "kept": (BLUE, [step["out"] for step in steps]),
        "dropped": (VERMILION, [step["faulty"] for step in steps]),
        "not needed": (GREY, [step["surplus"] for step in steps]),
    }
    draw_bars(axes, [step["step"] for step in steps], parts, "rows")
    told = "; ".join(
        f"{step['step']} kept {step['out']} of {step['in']}, {step['surplus']} were not needed"
        for step in steps
    )
    save_svg(figure, path, f"{criterion}: rows kept and dropped by step", told)


def draw_similarity(pairs: Path, criterion: str, near_copy: float, path: Path) -> None:
    """Draw the histogram of the similarity of each pair's answers, with the line of near copies."""
    values = np.array([row["similarity"] for row in read_rows(pairs)])
    figure, axes = new_figure(2.2)
    axes.hist(values, bins=50, color=BLUE)
    axes.axvline(near_copy, color=INK, linestyle="--", linewidth=1)
    axes.set(xlabel="similarity of answer and correction", ylabel="pairs")
    axes.set_title(f"dashed: near copies, from {near_copy:g} on", loc="right")
    told = "No pairs."
    if len(values):
        low, middle, high = np.percentile(values, [25, 50, 75])
        told = (
            f"Histogram of {len(values)} pairs: half lie between {low:.2f} and {high:.2f}, the "
            f"median is {middle:.2f}; {np.mean(values >= near_copy):.0%} are near copies."
        )
    save_svg(figure, path, f"{criterion}: similarity of a pair's answers", told)
