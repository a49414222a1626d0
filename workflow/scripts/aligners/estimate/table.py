"""The command `aligners estimate`: prints a table, and writes the same figures to a file."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from aligners.configuration.criteria import load_question_types
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.datasets import DatasetRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe, recipe_path
from aligners.core.errors import UserError
from aligners.core.formats import MISSING, count, duration
from aligners.core.rows import write_json
from aligners.estimate.figures import Figures, estimate, total
from aligners.estimate.sample import LOGS, Sample, take_samples
from aligners.estimate.stages import Stage, dataset_rows, load_experiment, make_stages
from aligners.estimate.verdicts import verdicts_stages

# Without a sample, the mean prompt length is that of this many requests.
EXAMPLES = 24
AT_MOST = "≤ "
# The width of the table if the output is no terminal.
FILE_WIDTH = 110

SAMPLED = (
    "Measured: tokens and time of up to {sample} requests of each stage. Assumed: all requests "
    "are like them. Time is for one job at a time, without loading the LLM; shards that run in "
    "parallel take less. A small sample does not fill a batch or reach the concurrency of a "
    "recipe, so a run may take less time. A larger --sample gives a better estimate."
)
BOUNDS = (
    "≤ marks an upper bound, which is not measured: each completion counts as max_new_tokens "
    "tokens, and tokens in are estimated as one for 4 characters. To estimate time, send a sample "
    "(--sample 8)."
)
SEEDS = (
    "The configuration has {seeds} training seeds. The judges compare the systems of every seed: "
    "up to {seeds} times the verdicts of one seed. Trainings and corrections, which are not "
    "counted, take {seeds} times as long."
)
UPPER = (
    "Pairs and responses: at most one for each question; duplicate questions are dropped before "
    "and need none. Verdicts: those of results/judged/all; equal texts need no verdict, and equal "
    "comparisons need only one. Hints without a question are sent again, {again}."
)


def print_estimate(path: Path, sample: int, output: Path | None) -> None:
    """Print the requests, tokens, time and cost of each generating stage of a configuration.

    Args:
        path: the configuration, which is merged over config/config.yaml.
        sample: number of requests of each stage that are sent to measure tokens and time.
        output: JSON file for the figures.

    Raises:
        UserError: the sample is negative, the configuration is invalid, or a stage could not be
            measured: then the figures are printed and written first.
    """
    if sample < 0:
        raise UserError(f"--sample {sample}: the number of requests is negative; give 0 or more")
    console = make_console()
    config = load_experiment(path)
    examples = sample or EXAMPLES
    stages = [*make_stages(config, examples), *verdicts_stages(config, examples)]
    samples, problems = ask_all(stages, console) if sample else ({}, {})
    rows = estimate(config, stages, samples)
    seeds = len(config.seeds)
    notes = [SEEDS.format(seeds=seeds)] if seeds > 1 else []
    notes += [*repeated_topics(config), *unknown_datasets(config)]
    console.print(estimate_table(rows, f"Estimate of {config.name}"))
    console.print("\n".join(explanations(rows, sample)), highlight=False)
    for note in notes:
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    failed = [stage for stage in stages if sample and (stage.llm, stage.name) not in samples]
    problem = not_measured(failed, problems)
    if output:
        notes += [problem] if problem else []
        figures = {"stages": [asdict(row) for row in rows], "total": total(rows), "notes": notes}
        write_json(output, {"experiment": config.name, "sample": sample, **figures})
    if problem:
        raise UserError(problem)


def ask_all(
    stages: Sequence[Stage], console: Console
) -> tuple[dict[tuple[str, str], Sample], dict[str, str]]:
    """Return samples by (LLM, stage), and the problem of each LLM that failed."""
    samples, problems = {}, {}
    for llm in dict.fromkeys(stage.llm for stage in stages):
        own = [stage for stage in stages if stage.llm == llm]
        names = ", ".join(stage.name for stage in own)
        message = f"Sending a sample of {names} to {llm} (log: {LOGS / llm}.log)"
        console.print(message, highlight=False, soft_wrap=True)
        taken, problem = take_samples(llm, own)
        samples.update({(llm, name): sample for name, sample in taken.items()})
        if problem:
            problems[llm] = problem
    return samples, problems


def not_measured(failed: Sequence[Stage], problems: Mapping[str, str]) -> str:
    """Return which stages could not be measured and why; an empty text if all were measured."""
    names = {
        llm: ", ".join(stage.name for stage in failed if stage.llm == llm)
        for llm in dict.fromkeys(stage.llm for stage in failed)
    }
    reasons = "; ".join(f"{stages} of {llm} ({problems[llm]})" for llm, stages in names.items())
    return f"not measured, so their figures are upper bounds: {reasons}" if failed else ""


def repeated_topics(config: Config) -> list[str]:
    """Return a note if a criterion has fewer topics than questions, so that topics are repeated."""
    settings = load_recipe(SynthesisRecipe, config.synthesis).topics
    types = min(len(load_question_types(criterion)) for criterion in config.criteria)
    prompts = config.topic_rounds * types * settings.prompts_per_type
    topics = prompts * settings.topics_per_prompt
    times = config.questions_per_criterion / topics
    if times <= 1:
        return []
    return [
        f"Questions: even if no topic is a duplicate, each is asked {times:.1f} times, because "
        f"{count(prompts)} prompts ask for {count(topics)} topics of a criterion. For more topics, "
        "raise topic_rounds."
    ]


def unknown_datasets(config: Config) -> list[str]:
    """Return a note for each data set whose size is unknown before the download."""
    return [
        f"{name}: the size of the data set is unknown before the download, so its responses are "
        f"not counted. To count them, set rows in {recipe_path(DatasetRecipe, name)}."
        for name in config.datasets
        if dataset_rows(config, name) is None
    ]


def explanations(rows: Sequence[Figures], sample: int) -> list[str]:
    """Return the lines that explain the figures: what is measured and what is assumed."""
    measured = [row for row in rows if row.sampled]
    lines = [SAMPLED.format(sample=sample)] if measured else []
    if len(measured) < len(rows):
        lines.append(BOUNDS)
    counted = any(row.stage == "questions" for row in measured)
    again = "as often as in the sample" if counted else "which is not counted"
    return [*lines, UPPER.format(again=again)]


def make_console() -> Console:
    """Return a console as wide as the terminal; of a fixed width if the output is a file."""
    console = Console()
    return console if console.is_terminal else Console(width=FILE_WIDTH)


def estimate_table(rows: Sequence[Figures], title: str) -> Table:
    """Return the stages with their figures, and the total."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    for column in ("stage", "LLM", "engine"):
        table.add_column(column, overflow="fold")
    for column in ("requests", "tokens in", "tokens out", "time", "cost"):
        table.add_column(column, justify="right", overflow="fold")
    for row in rows:
        costs = {row.currency: row.cost} if row.currency and row.cost is not None else {}
        table.add_row(
            row.stage,
            row.llm,
            row.engine,
            count(row.requests),
            count(row.tokens_in),
            at_most(count(row.tokens_out), row.sampled > 0),
            MISSING if row.seconds is None else duration(row.seconds),
            at_most(format_costs(row.gpu_hours, costs), row.sampled > 0),
        )
    table.add_section()
    table.add_row(*total_cells(rows))
    return table


def total_cells(rows: Sequence[Figures]) -> list[str]:
    """Return the cells of the last row; the time is a lower bound if a stage has no time."""
    sums = total(rows)
    measured = all(row.sampled for row in rows)
    time = MISSING
    if any(row.sampled for row in rows):
        time = ("" if measured else "> ") + duration(sums["seconds"])
    return [
        "total",
        "",
        "",
        count(sums["requests"]),
        count(sums["tokens_in"]),
        at_most(count(sums["tokens_out"]), measured),
        time,
        at_most(format_costs(sums["gpu_hours"], sums["costs"]), measured),
    ]


def at_most(text: str, measured: bool) -> str:
    """Mark a figure as an upper bound, unless it is measured or missing."""
    return text if measured or text == MISSING else f"{AT_MOST}{text}"


def format_costs(gpu_hours: float | None, costs: Mapping[str, float]) -> str:
    """Return money and GPU hours, such as `12.30 USD + 1.50 GPU h`; `-` if both are missing."""
    amounts = {**costs} if gpu_hours is None else {**costs, "GPU h": gpu_hours}
    parts = [
        f"{amount:,.2f} {unit}" if amount >= 1 else f"{amount:.2g} {unit}"
        for unit, amount in amounts.items()
    ]
    return " + ".join(parts) or MISSING
