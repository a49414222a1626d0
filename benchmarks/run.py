"""Measure the project against its targets: `make bench`, or python benchmarks/run.py NAMES.

Prints a table for each benchmark and writes benchmarks/results/<name>.json, and summary.md. The
times depend on the machine and on what else runs on it. All take about an hour on two cores.
"""

import os
import time
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import tyro
from figures import Figures, machine, markdown, print_figures, write_figures
from project_copy import ROOT

Benchmark = Literal[
    "planning",
    "filters",
    "similarity_scoring",
    "inspector_scoring",
    "pair_ranker",
    "squad_generation",
    "text_generation",
    "endpoint",
    "training",
    "evaluation_statistics",
    "slurm",
    "demo",
]
RESULTS = Path("benchmarks/results")
# Rows of the benchmarks that have a number of them; theirs by default, fewer for a trial.
SIZED = {
    "filters",
    "similarity_scoring",
    "inspector_scoring",
    "pair_ranker",
    "squad_generation",
    "text_generation",
    "endpoint",
    "training",
}


def main(
    names: tyro.conf.Positional[tuple[Benchmark, ...]] = (),
    *,
    rows: int | None = None,
    demo_results: Path | None = None,
) -> None:
    """Run benchmarks.

    Args:
        names: the benchmarks; none named is all of them.
        rows: rows for each benchmark that has a number of them (SIZED), for a quick trial; by
            default each has its own number.
        demo_results: results/ of a demo that ran before, to evaluate in place of a new run.
    """
    if demo_results:
        demo_results = demo_results.resolve()
    os.chdir(ROOT)  # Recipes are found from here.
    # Threads wait for each other; where something else has one of the cores, for very long.
    torch.set_num_threads(1)
    conditions = machine()
    measured: dict[str, Figures] = {}
    for name in names or get_args(Benchmark):
        options: dict[str, Any] = {"rows": rows} if rows and name in SIZED else {}
        if name == "demo":
            options["results"] = demo_results
        print(f"{name} ...", flush=True)
        started = time.perf_counter()
        measured[name] = import_module(name).measure(**options)
        took = round(time.perf_counter() - started, 1)
        print_figures(f"{name}, in {took:.0f} s", measured[name])
        write_figures(RESULTS, name, measured[name], {**conditions, "measured_in_seconds": took})
        (RESULTS / "summary.md").write_text(markdown(measured, conditions), encoding="utf-8")
    print(f"Written to {RESULTS}/")


if __name__ == "__main__":
    tyro.cli(main)
