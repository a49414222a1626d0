"""The scorecard of the closed world as tables in the terminal."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from aligners.core.rows import read_json

SCORECARD = Path("results/closed_world/scorecard.json")
RUN = Path("results/closed_world/run.json")

NEXT_STEPS = """\
What next
  look at everything  make report, then open results/report.html
  look at answers     .venv/bin/aligners show --changed \\
    results/aligned/synthetic_mixed/closed-world-base/*/squad.jsonl
  look at a model     results/aligners/gpt2-closed-world/factuality/losses.png
  AlpacaEval files    results/alpaca_eval/all lists them
  the plan            .venv/bin/snakemake --profile profiles/demo -n
  your own criterion  config/README.md"""


def percent(rate: dict[str, Any]) -> str:
    """Return a rate with its interval, such as `93.1% (90.9-94.8)`."""
    if rate["value"] is None:
        return "-"
    return f"{rate['value']:.1%} ({rate['low'] * 100:.1f}-{rate['high'] * 100:.1f})"


def inspector_table(scores: dict[str, Any]) -> Table:
    """Return the inspectors with accuracy, ROC-AUC, calibration error and test rows."""
    table = Table("inspector", title="Inspectors on held-out questions", title_justify="left")
    for column in ("accuracy", "ROC-AUC", "calibration error", "n"):
        table.add_column(column, justify="right")
    for criterion, score in scores.items():
        table.add_row(
            criterion,
            f"{score['accuracy']:.3f}",
            f"{score['roc_auc']:.3f}",
            f"{score['ece']:.3f}",
            str(score["n"]),
        )
    return table


def filter_table(scores: dict[str, Any]) -> Table:
    """Return the filters with precision, recall and the number of planted defects."""
    table = Table("filter", title="Filters against planted defects", title_justify="left")
    for column in ("precision", "recall", "planted"):
        table.add_column(column, justify="right")
    for reason, score in scores.items():
        shown = [
            "-" if score[key] is None else f"{score[key]:.2f}" for key in ("precision", "recall")
        ]
        table.add_row(reason, *shown, str(score["n"]))
    return table


def system_table(llm: str, scores: dict[str, Any]) -> Table:
    """Return the systems with their share of clean answers and their harm rate."""
    table = Table("answers", title=f"Answers of {llm}, all test questions", title_justify="left")
    for column in ("clean, known facts", "harm, known facts", "clean, unknown facts"):
        table.add_column(column, justify="right")
    for system, share in scores["clean_share"].items():
        harm = scores["harm_rate"].get(system)
        unknown = scores["unknown_facts"]["clean_share"][system]
        table.add_row(system, percent(share), percent(harm) if harm else "", percent(unknown))
    return table


def print_scorecard() -> None:
    """Print results/closed_world/scorecard.json and what the run took.

    Raises:
        UserError: there is no scorecard yet.
    """
    scores = read_json(SCORECARD)
    console = Console()
    console.print()
    console.print(inspector_table(scores["inspectors"]))
    console.print(filter_table(scores["filters"]))
    for llm, systems in scores["datasets"]["all"].items():
        console.print(system_table(llm, systems))
    console.print("A rate is followed by its 95% interval. Harm: clean answers made unclean.")
    if RUN.exists():
        run = read_json(RUN)
        console.print(
            f"Made in {run['wall_seconds'] / 60:.1f} minutes, "
            f"at most {run['peak_rss_mib']} MiB in one process."
        )
    console.print("The closed world is a test bench: it says nothing about real LLMs.\n")
    console.print(NEXT_STEPS, highlight=False)
