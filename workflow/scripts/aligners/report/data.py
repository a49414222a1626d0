"""Section of the page on the data: rows kept and dropped by step, and examples of both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aligners.configuration import results
from aligners.configuration.experiment import Experiment
from aligners.core.rows import Row, read_json, read_rows, seeded_order
from aligners.report.changes import marked_changes

COUNTS, DROPPED = "counts.json", "dropped.jsonl"
# The counts file of each step that makes the data of a criterion, in their order.
STEPS = {
    "topics": results.TOPICS.beside(COUNTS),
    "topics deduplicated": results.DISTINCT_TOPICS.beside(COUNTS),
    "questions": results.QUESTIONS.beside(COUNTS),
    "split": results.SPLIT.beside(COUNTS),
    "pairs": results.PAIRS.beside(COUNTS),
    "pairs filtered": results.FILTERED_PAIRS.beside(COUNTS),
    "aligner set": results.TRAINING_SET_COUNTS.fill(kind="aligner"),
    "inspector set": results.TRAINING_SET_COUNTS.fill(kind="inspector"),
}
INPUT_COUNTS = results.INPUTS.beside(COUNTS)
RESPONSE_COUNTS = results.RESPONSES.beside(COUNTS)

EXAMPLES = 3
# The texts of a dropped row that may explain why it was dropped; all that it has are shown.
TEXTS = ("topic", "question", "completion", "response", "aligned_response")
LONGEST = 280
# Reasons that are no fault of a row: there are more rows than were asked for.
SURPLUS = ("over_limit", "identity_surplus", "over_cap")


def data_section(experiment: Experiment) -> dict[str, Any]:
    """Return what the section shows; the seed of the experiment decides which rows."""
    seed, criteria = experiment.config.seed, experiment.names["criterion"]
    steps = {criterion: step_counts(criterion) for criterion in criteria}
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
        "pairs": sum(read_json(path)["out"] for path in experiment.files(STEPS["pairs filtered"])),
        "questions": sum(counts["out"] for counts in inputs),
        "criteria": steps,
        "sets": set_sizes(experiment),
        "inputs": [*inputs, *responses],
        "examples": {criterion: pair_examples(criterion, seed) for criterion in criteria},
        "dropped": {criterion: dropped_examples(criterion, seed) for criterion in criteria},
    }


def step_counts(criterion: str) -> list[dict[str, Any]]:
    """Return the counts of each step of a criterion (`with_surplus`)."""
    return [with_surplus(step, path.path(criterion=criterion)) for step, path in STEPS.items()]


def with_surplus(step: str, counts: Path) -> dict[str, Any]:
    """Return the name of a step, its counts, and of the dropped rows how many had a fault."""
    found = read_json(counts)
    surplus = sum(found["dropped"].get(reason, 0) for reason in SURPLUS)
    faulty = found["in"] - found["out"] - surplus
    return {"step": step, **found, "surplus": surplus, "faulty": faulty}


def set_sizes(experiment: Experiment) -> dict[tuple[str, str], dict[str, int]]:
    """Return the rows of each side, by criterion and kind of set."""
    sizes: dict[tuple[str, str], dict[str, int]] = {}
    for names in results.TRAINING_SET.combinations(experiment.names):
        rows = read_rows(results.TRAINING_SET.path(**names))
        sizes.setdefault((names["criterion"], names["kind"]), {})[names["side"]] = len(rows)
    return sizes


def pair_examples(criterion: str, seed: int) -> list[dict[str, Any]]:
    """Return some pairs of a criterion: the words marked that the correction changed."""
    return [
        {
            "question": row["question"],
            "critique": row["critique"],
            **marked_changes(row["response"], row["aligned_response"]),
        }
        for row in choose(
            read_rows(results.FILTERED_PAIRS.path(criterion=criterion)), EXAMPLES, seed
        )
    ]


def choose(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Return some rows by chance."""
    return sorted(rows, key=lambda row: seeded_order(row, seed))[:count]


def dropped_examples(criterion: str, seed: int) -> list[dict[str, str]]:
    """Return a dropped row of each step and reason, as step, reason and text."""
    found = []
    for step, counts in STEPS.items():
        dropped = Path(str(counts.path(criterion=criterion)).replace(COUNTS, DROPPED))
        examples: dict[str, Row] = {}
        for row in sorted(read_rows(dropped), key=lambda row: seeded_order(row, seed)):
            examples.setdefault(row["reason"], row)
        found += [
            {"step": step, "reason": reason, "text": text_of(examples[reason])}
            for reason in sorted(examples)
        ]
    return found


def text_of(row: Row) -> str:
    """Return the texts of a dropped row in one line, cut if they are long."""
    texts = (" ".join(row[key].split()) or "(empty)" for key in TEXTS if key in row)
    text = " → ".join(texts)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
