"""Measure the project against its targets: `make bench`, or python benchmarks/run.py NAMES.

Prints a table for each benchmark, and writes benchmarks/results/<name>.json and summary.md. Times
depend on the machine and on its other load. All benchmarks take about an hour on two cores.
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
    "near_duplicates",
    "rows",
    "imports",
    "similarity_scoring",
    "inspector_scoring",
    "pair_ranker",
    "squad_generation",
    "text_generation",
    "engines",
    "aligner_engines",
    "endpoint",
    "kills",
    "serving",
    "training",
    "input_formats",
    "evaluation_statistics",
    "interval_coverage",
    "slurm",
    "demo",
]
RESULTS = Path("benchmarks/results")
# The benchmarks with a number of rows, which --rows sets.
SIZED = {
    "filters",
    "near_duplicates",
    "rows",
    "imports",
    "similarity_scoring",
    "inspector_scoring",
    "pair_ranker",
    "squad_generation",
    "text_generation",
    "engines",
    "aligner_engines",
    "endpoint",
    "kills",
    "serving",
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
        names: the benchmarks; without names, all of them.
        rows: number of rows for a quick trial, for each benchmark in SIZED; by default, each has
            its own number.
        demo_results: results/ of an earlier demo, to evaluate instead of running the demo; serving
            uses its squad.
    """
    if demo_results:
        demo_results = demo_results.resolve()
    os.chdir(ROOT)  # Recipes are found relative to this directory.
    # Threads wait for each other, and very long if another process occupies a core.
    torch.set_num_threads(1)
    environment = machine()
    measured: dict[str, Figures] = {}
    for name in names or get_args(Benchmark):
        options: dict[str, Any] = {"rows": rows} if rows and name in SIZED else {}
        if name in ("demo", "serving"):
            options["results"] = demo_results
        print(f"{name} ...", flush=True)
        started = time.perf_counter()
        measured[name] = import_module(name).measure(**options)
        seconds = round(time.perf_counter() - started, 1)
        print_figures(f"{name}, in {seconds:.0f} s", measured[name])
        write_figures(
            RESULTS, name, measured[name], {**environment, "measured_in_seconds": seconds}
        )
        (RESULTS / "summary.md").write_text(markdown(measured, environment), encoding="utf-8")
    print(f"Written to {RESULTS}/")


if __name__ == "__main__":
    tyro.cli(main)
