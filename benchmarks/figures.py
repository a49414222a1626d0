"""Figures of a benchmark with their targets, as a table, as JSON and as Markdown."""

import os
import platform
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from aligners.core.rows import write_json

HEADER = ("figure", "value", "target", "reached")


@dataclass(frozen=True)
class Target:
    """The target of a figure, as text and as a test."""

    text: str
    test: Callable[[Any], bool]


def at_most(bound: float) -> Target:
    """Return the target of a figure that must be at most a bound."""
    return Target(f"≤ {bound:g}", lambda value: value <= bound)


def at_least(bound: float) -> Target:
    """Return the target of a figure that must be at least a bound."""
    return Target(f"≥ {bound:g}", lambda value: value >= bound)


def above(bound: float) -> Target:
    """Return the target of a figure that must be above a bound."""
    return Target(f"> {bound:g}", lambda value: value > bound)


IS_TRUE = Target("yes", bool)


@dataclass(frozen=True)
class Figure:
    """A measured number, truth value or note. None means that it could not be measured."""

    value: float | bool | str | None
    target: Target | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the target is reached; None without a target."""
        if self.target is None:
            return None
        # A number of NumPy gives a truth value of NumPy, which JSON cannot write.
        return self.value is not None and bool(self.target.test(self.value))


Figures = dict[str, Figure]


def format_value(value: Any) -> str:
    """Return a value as text for a table."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.4g}" if isinstance(value, float) else str(value)


def cells(figures: Figures) -> list[tuple[str, ...]]:
    """Return a table row for each figure."""
    return [
        (
            name,
            format_value(figure.value),
            figure.target.text if figure.target else "",
            "" if figure.reached is None else format_value(figure.reached),
        )
        for name, figure in figures.items()
    ]


def print_figures(benchmark: str, figures: Figures) -> None:
    """Print the table of a benchmark."""
    table = Table(*HEADER, title=benchmark, title_justify="left")
    for row in cells(figures):
        table.add_row(*row, style="bold red" if row[-1] == "no" else None)
    Console().print(table)


def write_figures(
    directory: Path, benchmark: str, figures: Figures, environment: Mapping[str, Any]
) -> None:
    """Write `<benchmark>.json`: the environment and all figures."""
    values = {
        name: {
            "value": figure.value,
            "target": figure.target.text if figure.target else None,
            "reached": figure.reached,
        }
        for name, figure in figures.items()
    }
    write_json(directory / f"{benchmark}.json", {**environment, "figures": values})


def markdown(measured: Mapping[str, Figures], environment: Mapping[str, Any]) -> str:
    """Return the tables of several benchmarks as a Markdown page."""
    lines = ["# Benchmarks", ""]
    lines += [f"- {name.replace('_', ' ')}: {value}" for name, value in environment.items()]
    for benchmark, figures in measured.items():
        lines += ["", f"## {benchmark}", "", markdown_row(HEADER), markdown_row(["---"] * 4)]
        lines += [markdown_row(row) for row in cells(figures)]
    return "\n".join(lines) + "\n"


def markdown_row(row: Sequence[str]) -> str:
    """Return one row of a Markdown table."""
    return f"| {' | '.join(row)} |"


def machine() -> dict[str, Any]:
    """Return the environment of the figures: commit, machine, its load, and versions."""
    description = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
        capture_output=True,
        text=True,
        check=False,
    )
    names = Path("/proc/cpuinfo").read_text(encoding="utf-8").split("\n")
    return {
        "commit": description.stdout.strip() or None,
        "processor": next((n.split(":")[1].strip() for n in names if "model name" in n), None),
        "cores": len(os.sched_getaffinity(0)),
        "load_at_start": round(os.getloadavg()[0], 1),
        "python": platform.python_version(),
        "torch": version("torch"),
        "transformers": version("transformers"),
    }
