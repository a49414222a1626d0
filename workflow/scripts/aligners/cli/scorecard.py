"""The scorecard of the closed world as tables in the terminal."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from aligners.closed_world.scorecard_file import WholeScorecard
from aligners.configuration import results
from aligners.core import formats
from aligners.core.rows import read_json

SCORECARD = results.SCORECARD.path()
RUN = results.DEMO_RUN.path()

NEXT_STEPS = """\
Next steps
  see all results     make report, then open results/report.html
  see corrections     .venv/bin/aligners show --changed \\
    results/aligned/synthetic_mixed/closed-world-base/*/squad.jsonl
  see a training      results/aligners/gpt2-closed-world/factuality/losses.png
  AlpacaEval files    results/alpaca_eval/all lists them
  the plan            .venv/bin/snakemake --profile profiles/demo -n
  your own policy     docs/your-own-policy.md"""


class DemoRun(BaseModel):
    """Time and memory of a demo."""

    wall_seconds: float
    peak_rss_mib: float


def make_table(title: str, first: str, *columns: str) -> Table:
    """Return an empty table with names in the first column and numbers in the others."""
    # Without lines between columns, rates with intervals fit into 80 characters.
    table = Table(first, title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right")
    return table


def inspector_table(scores: dict[str, Any]) -> Table:
    """Return the inspectors with accuracy, ROC-AUC, calibration error and test rows."""
    title = "Inspectors on held-out questions"
    table = make_table(title, "inspector", "accuracy", "ROC-AUC", "calibration error", "n")
    for criterion, score in scores.items():
        cells = [formats.decimal(score[key]) for key in ("accuracy", "roc_auc", "ece")]
        table.add_row(criterion, *cells, str(score["n"]))
    return table


def filter_table(scores: dict[str, Any]) -> Table:
    """Return the filters with precision, recall and the number of planted defects."""
    title = "Filters against planted defects"
    table = make_table(title, "filter", "precision", "recall", "planted")
    for reason, score in scores.items():
        cells = [formats.decimal(score[key], 2) for key in ("precision", "recall")]
        table.add_row(reason, *cells, str(score["n"]))
    return table


def system_table(
    title: str, scores: dict[str, Any], show: Callable[[dict[str, Any]], str] = formats.rate
) -> Table:
    """Return the systems with their share of clean answers and their harm rate."""
    columns = ("clean, known facts", "harm, known facts", "clean, unknown facts")
    table = make_table(title, "answers", *columns)
    unknown = scores["unknown_facts"]["clean_share"]
    for system, share in scores["clean_share"].items():
        harm = scores["harm_rate"].get(system)
        cells = [show(rate) if rate else "" for rate in (share, harm, unknown[system])]
        table.add_row(system, *cells)
    return table


def seed_tables(scores: dict[str, Any]) -> Iterator[Table]:
    """Yield the tables of the inspectors and of the systems over several training seeds."""
    columns = ("accuracy", "ROC-AUC", "calibration error", "seeds")
    table = make_table("Inspectors over training seeds", "inspector", *columns)
    for criterion, metrics in scores["inspectors"].items():
        cells = [formats.spread_decimal(metrics[key]) for key in ("accuracy", "roc_auc", "ece")]
        table.add_row(criterion, *cells, str(metrics["accuracy"]["seeds"]))
    yield table
    for llm, systems in scores["datasets"]["all"].items():
        yield system_table(f"Answers of {llm} over training seeds", systems, formats.spread)


def print_scorecard() -> None:
    """Print results/closed_world/scorecard.json, and time and memory of the run.

    Raises:
        UserError: the file does not exist yet.
    """
    scores = read_json(SCORECARD, WholeScorecard)
    console = Console()
    console.print()
    console.print(inspector_table(scores["inspectors"]))
    console.print(filter_table(scores["filters"]))
    for llm, systems in scores["datasets"]["all"].items():
        console.print(system_table(f"Answers of {llm}, all test questions", systems))
    console.print(
        "Brackets have 95% intervals. Harm: share of clean responses that a system made unclean."
    )
    if over_seeds := scores.get("seeds"):
        for table in seed_tables(over_seeds):
            console.print(table)
        console.print(
            "The other tables are of the first training seed; these have the mean ± standard "
            "deviation over all seeds."
        )
    if RUN.exists():
        run = read_json(RUN, DemoRun)
        console.print(
            f"Made in {formats.duration(run['wall_seconds'])}, "
            f"at most {run['peak_rss_mib']} MiB in one process."
        )
    console.print("The closed world is a test bench. Its numbers do not apply to real LLMs.\n")
    console.print(NEXT_STEPS, highlight=False)
