"""Figures as SVG for a page: small files with selectable text, for light and dark pages."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import matplotlib
import numpy as np
from numpy.typing import NDArray

matplotlib.use("svg")  # Jobs run on servers without a display.

import matplotlib.pyplot as plt

from aligners.core.formats import printable_lines
from aligners.core.rows import atomic_path

# As in comparison.json: value, low and high. A missing value is None.
Estimates = Sequence[dict[str, Any] | None]

# From the colour-blind-safe palette of Okabe and Ito: the colours with enough contrast on white and
# on black. The blue is lighter than in the palette, so that lines are visible on black.
BLUE, VERMILION, GREEN, PURPLE = "#1a80c4", "#d55e00", "#009e73", "#cc79a7"
SERIES = (BLUE, VERMILION, GREEN, PURPLE)
MARKERS = ("o", "s", "^", "D")
GREY = "#8a8f98"
# Placeholder: in the written file, it becomes the colour of the text around the figure.
INK = "#010203"
WIDTH = 350 / 96  # in inches: 350 pixels, the width of a phone
plt.rcParams.update(
    {
        "svg.fonttype": "none",
        "text.parse_math": False,
        "svg.hashsalt": "aligners",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
        "font.size": 8,
        "axes.titlesize": 8,
        "legend.fontsize": 7.5,
        "legend.frameon": False,
        "text.color": INK,
        "axes.edgecolor": INK,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.6,
        "grid.color": INK,
        "grid.alpha": 0.15,
        "grid.linewidth": 0.6,
        "lines.linewidth": 1.5,
        "lines.markersize": 4,
        "figure.constrained_layout.use": True,
    }
)


def new_figure(height: float) -> tuple[Any, Any]:
    """Return a figure as wide as a phone, with one pair of axes.

    Args:
        height: in inches.
    """
    return plt.subplots(figsize=(WIDTH, height))


def save_svg(figure: Any, path: Path, title: str, description: str) -> None:
    """Write a figure as SVG, atomically.

    Args:
        figure: a figure from `new_figure`.
        path: `<subject>/<kind>.svg`.
        title: the caption.
        description: the content of the figure in words, for screen readers.
    """
    with atomic_path(path) as partial:
        figure.savefig(partial, format="svg", transparent=True)
        plt.close(figure)
        drawn = partial.read_text(encoding="utf-8")
        embeddable = make_embeddable(drawn, path, title, description)
        partial.write_text(printable_lines(embeddable), encoding="utf-8")


def make_embeddable(svg: str, path: Path, title: str, description: str) -> str:
    """Return the SVG with title, description, unique ids, and the page's text colour."""
    prefix = re.sub(r"\W", "-", "-".join(path.with_suffix("").parts[-6:]))
    body = re.sub(r"^.*?(?=<svg)|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    body = re.sub(r'\bid="', f'id="{prefix}-', body)
    body = re.sub(r"url\(#", f"url(#{prefix}-", body)
    body = re.sub(r'href="#', f'href="#{prefix}-', body)
    body = body.replace(INK, "currentColor")
    names = f'role="img" aria-labelledby="{prefix}-title {prefix}-description"'
    texts = (
        f'<title id="{prefix}-title">{escape(title)}</title>'
        f'<desc id="{prefix}-description">{escape(description)}</desc>'
    )
    return re.sub(r"<svg([^>]*)>", rf"<svg {names}\1>\n {texts}", body, count=1)


def error_bars(
    positions: Sequence[float], estimates: Estimates
) -> tuple[list[float], list[float], NDArray[np.floating]]:
    """Return positions, values and error-bar lengths (2, n) of the n estimates that have a value.

    Rounding can put an end of an interval on the wrong side of its value; that length becomes 0.
    """
    present = [
        (position, estimate["value"], estimate["low"], estimate["high"])
        for position, estimate in zip(positions, estimates, strict=True)
        if estimate and estimate["value"] is not None
    ]
    places, values, lows, highs = np.array(present, dtype=float).reshape(-1, 4).T
    errors = np.clip([values - lows, highs - values], 0, None)
    return places.tolist(), values.tolist(), errors


def draw_bars(
    axes: Any, labels: list[str], parts: dict[str, tuple[str, list[int]]], xlabel: str
) -> None:
    """Draw horizontal bars that consist of several parts, the first bar on top.

    Args:
        axes: to draw on.
        labels: labels of the bars.
        parts: for each name in the legend, the colour, and the part's length in each bar.
        xlabel: label of the axis of lengths.
    """
    left = [0] * len(labels)
    for name, (colour, lengths) in parts.items():
        axes.barh(range(len(labels)), lengths, left=left, color=colour, label=name, height=0.7)
        left = [start + length for start, length in zip(left, lengths, strict=True)]
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.set_xlabel(xlabel)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    axes.figure.legend(loc="outside upper left", ncols=len(parts))
