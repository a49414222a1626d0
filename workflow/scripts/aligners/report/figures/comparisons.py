"""Figures of the comparisons: win rates, also by category and threshold, and clean answers."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.configuration.systems import SQUADS
from aligners.core.formats import percent, printable, rate
from aligners.report.comparisons import has_truth, read_comparisons, read_truth
from aligners.report.figures.svg import (
    BLUE,
    GREEN,
    INK,
    MARKERS,
    SERIES,
    VERMILION,
    Estimates,
    error_bars,
    new_figure,
    save_svg,
)
from aligners.statistics.table_files import read_numbers
from aligners.statistics.tables import THRESHOLDS

rate_text = partial(rate, missing="none")


def draw_comparisons(experiment: Experiment, directory: Path) -> None:
    """Draw all figures of the section."""
    draw_judged(read_comparisons(experiment), directory)
    traced = results.spanned(results.THRESHOLDS, experiment.names)
    for names in results.THRESHOLDS.combinations(traced):
        subject = directory.joinpath(names["judge"], names["dataset"], names["llm"], "base")
        draw_thresholds(
            results.THRESHOLDS.path(**names),
            "{dataset}, {llm}, {backbone}, judge {judge}: the squad by offset".format(**names),
            subject / names["backbone"] / "thresholds.svg",
        )
    if has_truth(experiment.config):
        draw_truth(results.SCORECARD.path(), directory / "closed_world")


def draw_judged(comparisons: Sequence[dict[str, Any]], directory: Path) -> None:
    """Draw win rates against each reference, and those of the squads by category."""

    def opponents(comparison: dict[str, Any]) -> tuple[str, ...]:
        return tuple(comparison[key] for key in ("judge", "dataset", "llm", "reference"))

    for names, group in groupby(sorted(comparisons, key=opponents), key=opponents):
        opposed = list(group)
        draw_rates(opposed, directory.joinpath(*names, "rates.svg"))
        for backbone in {comparison["backbone"]: None for comparison in opposed}:
            squads = [
                comparison
                for comparison in opposed
                if comparison["backbone"] == backbone and comparison["system"] in SQUADS
            ]
            if any(comparison["by_category"] for comparison in squads):
                draw_categories(squads, directory.joinpath(*names, backbone, "categories.svg"))


def draw_estimates(
    axes: Any,
    positions: Sequence[float],
    estimates: Estimates,
    colour: str,
    name: str,
    height: float,
) -> None:
    """Draw a bar with its interval for each estimate that has a value."""
    bars, values, errors = error_bars(positions, estimates)
    axes.barh(
        bars,
        values,
        height=height,
        color=colour,
        label=name,
        xerr=errors,
        error_kw={"ecolor": INK, "elinewidth": 1, "capsize": 2},
    )


def share_axis(axes: Any, labels: Sequence[str], xlabel: str, middle: bool = True) -> None:
    """Set up axes for shares by label, the first label on top; `middle` draws a line at 0.5."""
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlim=(0, 1), ylim=(len(labels) - 0.5, -0.5), xlabel=xlabel)
    axes.grid(axis="x")
    axes.set_axisbelow(True)
    if middle:
        axes.axvline(0.5, color=INK, linestyle=":", linewidth=1)


def comparison_label(comparison: dict[str, Any]) -> str:
    """Return the data set, the LLM and the judge of a comparison as text."""
    return "{dataset}, {llm}, judge {judge}".format(**comparison)


def draw_rates(comparisons: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the win rates of all systems against one reference, raw and length-controlled."""
    backbones = {comparison["backbone"] for comparison in comparisons}
    labels = [
        comparison["system"]
        if len(backbones) == 1
        else f"{comparison['backbone']}\n{comparison['system']}"
        for comparison in comparisons
    ]
    raw = [comparison["win_rate"] for comparison in comparisons]
    controlled = [comparison["length_controlled"]["rate"] for comparison in comparisons]
    figure, axes = new_figure(0.9 + 0.38 * len(labels))
    above, below = ([row + shift for row in range(len(labels))] for shift in (-0.19, 0.19))
    draw_estimates(axes, above, raw, BLUE, "win rate", 0.34)
    draw_estimates(axes, below, controlled, GREEN, "at equal length", 0.34)
    share_axis(axes, labels, "win rate, ties as half")
    figure.legend(loc="outside upper left", ncols=2)
    description = "; ".join(
        f"{comparison['backbone']} {comparison['system']}: {rate_text(raw_rate)}, "
        f"at equal length {rate_text(controlled_rate)}"
        for comparison, raw_rate, controlled_rate in zip(comparisons, raw, controlled, strict=True)
    )
    first = comparisons[0]
    title = f"{comparison_label(first)}: win rates against {first['reference']}"
    save_svg(figure, path, title, description)


def draw_categories(comparisons: Sequence[dict[str, Any]], path: Path) -> None:
    """Draw the win rates by category, for a few systems of one backbone and reference."""
    names = sorted({name for comparison in comparisons for name in comparison["by_category"]})
    figure, axes = new_figure(0.9 + (0.14 + 0.1 * len(comparisons)) * len(names))
    step = 0.6 / len(comparisons)
    for number, comparison in enumerate(comparisons):
        shift = (number - (len(comparisons) - 1) / 2) * step
        rates = [comparison["by_category"].get(name) for name in names]
        rows, values, errors = error_bars([row + shift for row in range(len(names))], rates)
        axes.errorbar(
            values,
            rows,
            xerr=errors,
            fmt=MARKERS[number],
            color=SERIES[number],
            elinewidth=1,
            label=comparison["system"],
        )
    counts = {
        name: max(c["by_category"].get(name, {"n": 0})["n"] for c in comparisons) for name in names
    }
    share_axis(
        axes, [f"{shorten(name)} ({counts[name]})" for name in names], "win rate, ties as half"
    )
    figure.legend(loc="outside upper left", ncols=len(comparisons))
    description = "; ".join(
        f"{comparison['system']} in {name}: {rate_text(win_rate)}"
        for comparison in comparisons
        for name, win_rate in comparison["by_category"].items()
    )
    first = comparisons[0]
    title = (
        f"{comparison_label(first)}, {first['backbone']} against {first['reference']}: "
        "by category (questions)"
    )
    save_svg(figure, path, title, description)


def shorten(name: str, longest: int = 26) -> str:
    """Return a name without hidden characters, cut to at most `longest` characters."""
    name = printable(name)
    return name if len(name) <= longest else name[: longest - 1] + "…"


def draw_thresholds(thresholds: Path, title: str, path: Path) -> None:
    """Draw the squad's win rate by offset, and the share of responses that it acted on."""
    table = read_numbers(thresholds, THRESHOLDS)
    figure, axes = new_figure(2.4)
    axes.fill_between(
        table["offset"], table["low"], table["high"], color=BLUE, alpha=0.25, linewidth=0
    )
    axes.plot(table["offset"], table["win_rate"], color=BLUE, marker="o", label="win rate")
    axes.plot(
        table["offset"],
        table["acted"],
        color=VERMILION,
        linestyle="--",
        label="share with a turn",
    )
    axes.axhline(0.5, color=INK, linestyle=":", linewidth=1)
    # Above the run's own thresholds, the turns are unknown.
    axes.set(
        xlabel="offset of the thresholds, logits", xlim=(table["offset"].min(), 0), ylim=(0, 1)
    )
    axes.grid()
    figure.legend(loc="outside upper left", ncols=2)
    description = "; ".join(
        f"offset {row.offset:g}: win rate {percent(row.win_rate)}, "
        f"{percent(row.acted)} of the responses had a turn"
        for row in table.itertuples()
    )
    save_svg(figure, path, title, description)


def draw_truth(scorecard: Path, directory: Path) -> None:
    """Draw the shares of answers that meet all criteria, by the closed world's truth.

    Args:
        scorecard: of the closed world.
        directory: parent of a directory for each LLM.
    """
    for llm, answers in read_truth(scorecard)["truth"].items():
        shares = {scores["name"]: scores["clean"] for scores in answers}
        figure, axes = new_figure(0.7 + 0.27 * len(shares))
        draw_estimates(axes, range(len(shares)), list(shares.values()), BLUE, "", 0.7)
        share_axis(axes, list(shares), "share of clean answers, known facts", middle=False)
        description = "; ".join(
            f"{name}: {rate_text(estimate)}" for name, estimate in shares.items()
        )
        save_svg(
            figure,
            directory / llm / "clean.svg",
            f"Clean answers of {llm}, before correction and after each system",
            description,
        )
