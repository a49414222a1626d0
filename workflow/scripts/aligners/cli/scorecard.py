"""The scorecard of the closed world as tables in the terminal."""

from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from aligners.closed_world.scorecard_file import WholeScorecard
from aligners.configuration import results
from aligners.configuration.systems import SQUAD
from aligners.core import formats
from aligners.core.rows import read_json

SCORECARD = results.SCORECARD.path()
RUN = results.DEMO_RUN.path()

NEXT_STEPS = """\
Next steps
  see all results     make report, then open results/report.html
  see corrections     .venv/bin/aligners show --changed \\
    results/aligned/synthetic_mixed/closed-world-base/*/squad.jsonl
  see a training      results/aligners/llama-closed-world/factuality/losses.png
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
    title = "Inspectors on the teacher's held-out pairs"
    table = make_table(title, "inspector", "accuracy", "ROC-AUC", "calibration error", "n")
    for criterion, score in scores.items():
        cells = [formats.decimal(score[key]) for key in ("accuracy", "roc_auc", "ece")]
        table.add_row(criterion, *cells, str(score["n"]))
    return table


def quality_table(
    title: str, scores: dict[str, Any], show: Callable[[Any], str] = formats.decimal
) -> Table:
    """Return the inspectors with their quality on the responses of an LLM to known facts."""
    table = make_table(title, "inspector", "accuracy", "Brier score", "calibration error", "n")
    for criterion, score in scores["known_facts"].items():
        # Without responses, a score has only n.
        values = (score.get(key) for key in ("accuracy", "brier", "ece"))
        cells = [formats.MISSING if value is None else show(value) for value in values]
        n = score["n"]["mean"] if isinstance(score["n"], dict) else score["n"]
        table.add_row(criterion, *cells, formats.whole(n))
    return table


def filter_table(scores: dict[str, Any]) -> Table:
    """Return the filters with precision, recall and the number of planted defects."""
    title = "Filters against planted defects (regression figures, and forms held out)"
    columns = ("precision", "recall", "planted", "held-out recall", "held out")
    table = make_table(title, "filter", *columns)
    for reason, score in scores.items():
        cells = [formats.decimal(score[key], 2) for key in ("precision", "recall")]
        held_out = formats.decimal(score["recall_held_out"], 2)
        table.add_row(reason, *cells, str(score["n"]), held_out, str(score["n_held_out"]))
    return table


def wrapped_table(scores: dict[str, Any]) -> Table:
    """Return how many pairs are read exactly, by what the teacher wrote around them."""
    table = make_table("Pairs with additions", "addition", "read exactly", "pairs")
    for wrapping, score in scores.items():
        table.add_row(wrapping, formats.decimal(score["value"], 2), str(score["n"]))
    return table


def system_table(
    title: str, scores: dict[str, Any], show: Callable[[dict[str, Any]], str] = formats.rate
) -> Table:
    """Return the systems with their share of clean answers and their harm rate."""
    table = make_table(title, "answers", "clean", "harm")
    for system, clean in scores["clean_share"].items():
        rates = (clean, scores["harm_rate"].get(system))
        table.add_row(system, *(show(rate) if rate else "" for rate in rates))
    return table


def harm_table(
    title: str, scores: dict[str, Any], show: Callable[[dict[str, Any]], str] = formats.rate
) -> Table:
    """Return the harm of the squad by criterion, on known and on unknown facts."""
    table = make_table(title, "criterion", "known facts", "unknown facts")
    known, unknown = (
        part["harm_by_criterion"][SQUAD.name] for part in (scores, scores["unknown_facts"])
    )
    for criterion, harm in known.items():
        table.add_row(criterion, show(harm), show(unknown[criterion]))
    return table


def seed_tables(scores: dict[str, Any]) -> Iterator[Table]:
    """Yield the tables of the inspectors and of the systems over several training seeds."""
    columns = ("accuracy", "ROC-AUC", "calibration error", "seeds")
    table = make_table("Inspectors over training seeds", "inspector", *columns)
    for criterion, metrics in scores["inspectors"].items():
        cells = [formats.spread_decimal(metrics[key]) for key in ("accuracy", "roc_auc", "ece")]
        table.add_row(criterion, *cells, str(metrics["accuracy"]["seeds"]))
    yield table
    for llm, found in scores["responses"].items():
        title = f"Inspectors on the responses of {llm}, known facts, over training seeds"
        yield quality_table(title, found, formats.spread_decimal)
    for llm, systems in scores["datasets"]["all"].items():
        seeds = "over training seeds"
        yield system_table(f"Answers of {llm}, known facts, {seeds}", systems, formats.spread)
        unknown = systems["unknown_facts"]
        yield system_table(f"Answers of {llm}, unknown facts, {seeds}", unknown, formats.spread)
        if SQUAD.name in systems["harm_by_criterion"]:
            yield harm_table(f"Harm of the squad, {llm}, {seeds}", systems, formats.spread)


def print_scorecard() -> None:
    """Print results/closed_world/scorecard.json, and time and memory of the run.

    Raises:
        UserError: the file does not exist yet.
    """
    scores = read_json(SCORECARD, WholeScorecard)
    console = Console()
    console.print()
    console.print(inspector_table(scores["inspectors"]))
    for llm, found in scores["responses"].items():
        title = f"Inspectors on the responses of {llm}, known facts"
        console.print(quality_table(title, found))
    console.print(filter_table(scores["filters"]))
    console.print(wrapped_table(scores["wrapped_pairs"]))
    for llm, systems in scores["datasets"]["all"].items():
        console.print(system_table(f"Answers of {llm}, known facts", systems))
        unknown = systems["unknown_facts"]
        console.print(system_table(f"Answers of {llm}, unknown facts", unknown))
        if SQUAD.name in systems["harm_by_criterion"]:
            console.print(harm_table(f"Harm of the squad, {llm}", systems))
    console.print(
        "Brackets have 95% intervals. Harm: share of clean responses that a system made unclean; "
        "by criterion, of the responses that met the criterion."
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
