"""The data section of the page: rows kept and dropped by each step, and examples of both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.configuration.results import ResultPath
from aligners.core.counts import Counts
from aligners.core.rows import Row, number_of_rows, read_json, read_rows, seeded_order
from aligners.report.changes import mark_changes

COUNTS, DROPPED = "counts.json", "dropped.jsonl"
# The counts file of each step that makes the data of a criterion, in order.
STEPS = {
    "topics": results.TOPICS.beside(COUNTS),
    "topics deduplicated": results.DISTINCT_TOPICS.beside(COUNTS),
    "questions": results.QUESTIONS.beside(COUNTS),
    "own data": results.OWN_DATA.beside(COUNTS),
    "split": results.SPLIT.beside(COUNTS),
    "pairs": results.PAIRS.beside(COUNTS),
    "pairs filtered": results.FILTERED_PAIRS.beside(COUNTS),
    "labels filtered": results.FILTERED_LABELS.beside(COUNTS),
    "aligner set": results.TRAINING_SET_COUNTS.fill(kind="aligner"),
    "inspector set": results.TRAINING_SET_COUNTS.fill(kind="inspector"),
}
IMPORT_COUNTS = results.IMPORTED.beside(COUNTS)
INPUT_COUNTS = results.INPUTS.beside(COUNTS)
RESPONSE_COUNTS = results.RESPONSES.beside(COUNTS)

EXAMPLES = 3
PAIR_FIELDS = ("id", "question", "response", "critique", "aligned_response")
# Fields that may explain why a row was dropped; the page shows those that the row has.
TEXT_FIELDS = ("topic", "question", "completion", "response", "aligned_response")
MAX_CHARACTERS = 280
# Reasons that are not defects: there are more rows than the configuration asks for.
SURPLUS = ("over_limit", "identity_surplus", "over_cap")


def data_section(experiment: Experiment) -> dict[str, Any]:
    """Return what the section shows; the experiment's seed selects the examples."""
    seed, criteria = experiment.config.seed, experiment.names["criterion"]
    steps = {criterion: step_counts(experiment, criterion) for criterion in criteria}
    inputs = [
        with_surplus(" · ".join(("inputs", *names.values())), INPUT_COUNTS.path(**names))
        for names in INPUT_COUNTS.combinations(experiment.names)
    ]
    responses = [
        with_surplus(" · ".join(("responses", *names.values())), RESPONSE_COUNTS.path(**names))
        for names in RESPONSE_COUNTS.combinations(
            results.spanned(RESPONSE_COUNTS, experiment.names)
        )
    ]
    return {
        "pairs": sum(
            read_json(path, Counts)["out"] for path in experiment.files(STEPS["pairs filtered"])
        ),
        "questions": sum(counts["out"] for counts in inputs),
        "criteria": steps,
        "sets": set_sizes(experiment),
        "imports": [
            with_surplus(f"import · {name}", IMPORT_COUNTS.path(imported=name))
            for name in experiment.names["imported"]
        ],
        "inputs": [*inputs, *responses],
        "examples": {criterion: pair_examples(criterion, seed) for criterion in criteria},
        "dropped": {
            criterion: dropped_examples(experiment, criterion, seed) for criterion in criteria
        },
    }


def step_counts(experiment: Experiment, criterion: str) -> list[dict[str, Any]]:
    """Return the counts of each step of a criterion (`with_surplus`)."""
    return [
        with_surplus(step, path.path(criterion=criterion))
        for step, path in steps_of(experiment, criterion).items()
    ]


def steps_of(experiment: Experiment, criterion: str) -> dict[str, ResultPath]:
    """Return the steps of a criterion; one without a teacher has no topics, for instance."""
    return {
        step: path
        for step, path in STEPS.items()
        if criterion in results.spanned(path, experiment.names)["criterion"]
    }


def with_surplus(step: str, counts: Path) -> dict[str, Any]:
    """Return a step's name and counts, with dropped rows split into `surplus` and `faulty`."""
    content = read_json(counts, Counts)
    surplus = sum(content["dropped"].get(reason, 0) for reason in SURPLUS)
    faulty = content["in"] - content["out"] - surplus
    replaced = content.get("replaced", {})
    return {"step": step, **content, "replaced": replaced, "surplus": surplus, "faulty": faulty}


def set_sizes(experiment: Experiment) -> dict[tuple[str, str], dict[str, int]]:
    """Return the number of rows of each side, by criterion and kind of set."""
    sizes: dict[tuple[str, str], dict[str, int]] = {}
    for names in results.TRAINING_SET.combinations(experiment.names):
        rows = number_of_rows(results.TRAINING_SET.path(**names))
        sizes.setdefault((names["criterion"], names["kind"]), {})[names["side"]] = rows
    return sizes


def pair_examples(criterion: str, seed: int) -> list[dict[str, Any]]:
    """Return some pairs of a criterion, with the changed words marked."""
    return [
        {
            "question": row["question"],
            "critique": row["critique"],
            **mark_changes(row["response"], row["aligned_response"]),
        }
        for row in choose(
            read_rows(results.FILTERED_PAIRS.path(criterion=criterion), PAIR_FIELDS), EXAMPLES, seed
        )
    ]


def choose(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Return a seeded random sample of the rows."""
    return sorted(rows, key=lambda row: seeded_order(row, seed))[:count]


def dropped_examples(experiment: Experiment, criterion: str, seed: int) -> list[dict[str, str]]:
    """Return one dropped row for each step and reason: its step, reason and text."""
    rows = []
    for step, counts in steps_of(experiment, criterion).items():
        dropped = Path(str(counts.path(criterion=criterion)).replace(COUNTS, DROPPED))
        examples: dict[str, Row] = {}
        rows_of_step = read_rows(dropped, needs=("id", "reason"), repeated_ids=True)
        for row in sorted(rows_of_step, key=lambda row: seeded_order(row, seed)):
            examples.setdefault(row["reason"], row)
        rows += [
            {"step": step, "reason": reason, "text": text_of(examples[reason])}
            for reason in sorted(examples)
        ]
    return rows


def text_of(row: Row) -> str:
    """Return the texts of a dropped row in one line, shortened if they are long."""
    texts = (
        " ".join(row[key].split()) or "(empty)"
        for key in TEXT_FIELDS
        if isinstance(row.get(key), str)
    )
    text = " → ".join(texts)
    return text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
