"""Figures of the data: what each step kept and dropped, and how alike the answers of a pair are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligners.configuration.recipes import load_recipe
from aligners.core.rows import read_rows
from aligners.report.data import step_counts
from aligners.report.figures.svg import BLUE, GREY, INK, VERMILION, draw_bars, new_figure, save_svg


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


def draw_similarities(pairs: Sequence[Path], directory: Path) -> None:
    """Draw the similarity of each pair's answers by criterion, all on one range.

    Args:
        pairs: `{criterion}/pairs_similarity.jsonl`.
        directory: gets a directory for each criterion.
    """
    found = {path.parent.name: [row["similarity"] for row in read_rows(path)] for path in pairs}
    lowest = min((value for values in found.values() for value in values), default=0.0)
    for criterion, values in found.items():
        near_copy = load_recipe("criteria", criterion)["near_copy_similarity"]
        path = directory / criterion / "similarity.svg"
        draw_similarity(np.array(values), criterion, near_copy, lowest, path)


def draw_similarity(
    values: NDArray[np.floating], criterion: str, near_copy: float, lowest: float, path: Path
) -> None:
    """Draw the histogram of a criterion from the lowest similarity on, with that of near copies."""
    figure, axes = new_figure(2.2)
    axes.hist(values, bins=50, range=(lowest, 1), color=BLUE)
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
