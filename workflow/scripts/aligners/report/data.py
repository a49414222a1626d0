"""What the page says of the data: rows kept and dropped by step, and examples of both."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aligners.core.rows import Row, read_json, read_rows, seeded_order
from aligners.report.changes import marked_changes

EXAMPLES = 3
# Of a dropped row, which texts tell best why it was dropped; all that it has are shown.
TEXTS = ("topic", "question", "completion", "response", "aligned_response")
LONGEST = 280
# Reasons that nothing is wrong with a row: there are more than were asked for.
SURPLUS = ("over_limit", "identity_surplus", "over_cap")


def criterion_of(counts: Path) -> str:
    """Return the criterion of a counts file of results/synthetic/."""
    return (counts.parent.parent if counts.name == "counts.json" else counts.parent).name


def step_of(counts: Path) -> str:
    """Return the step that a counts file is of, in words."""
    if counts.name == "counts.json":
        return f"{counts.parent.name} set"
    return counts.name.removesuffix(".counts.json").replace("_", " ")


def step_counts(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Return of each step its name, rows in, out and by reason, and how many were not needed."""
    return [with_surplus({"step": step_of(path), **read_json(path)}) for path in paths]


def with_surplus(counts: dict[str, Any]) -> dict[str, Any]:
    """Return counts with the number of rows that were not needed, and of those with a fault."""
    surplus = sum(counts["dropped"].get(reason, 0) for reason in SURPLUS)
    return {**counts, "surplus": surplus, "faulty": counts["in"] - counts["out"] - surplus}


def set_sizes(sets: Sequence[Path]) -> dict[tuple[str, str], dict[str, int]]:
    """Return the rows of each side, by criterion and kind of set."""
    sizes: dict[tuple[str, str], dict[str, int]] = {}
    for path in sets:
        criterion, kind = path.parts[-3:-1]
        sizes.setdefault((criterion, kind), {})[path.stem] = len(read_rows(path))
    return sizes


def by_criterion(counts: Sequence[Path]) -> dict[str, list[Path]]:
    """Return the counts files of each criterion, all in the order given."""
    found: dict[str, list[Path]] = {}
    for path in counts:
        found.setdefault(criterion_of(path), []).append(path)
    return found


def data_section(
    counts: Sequence[Path],
    input_counts: Sequence[Path],
    pairs: Sequence[Path],
    sets: Sequence[Path],
    seed: int,
) -> dict[str, Any]:
    """Return what the section shows.

    Args:
        counts: counts files of results/synthetic/, in the order of criteria and steps.
        input_counts: counts files of test inputs and of answers to them.
        pairs: cleaned pairs of each criterion.
        sets: `{criterion}/{aligner,inspector}/{side}.jsonl`.
        seed: decides which rows are shown.
    """
    kept = {path: read_json(path)["out"] for path in [*counts, *input_counts]}
    return {
        "pairs": sum(
            out for path, out in kept.items() if path.name == "pairs_filtered.counts.json"
        ),
        "questions": sum(out for path, out in kept.items() if path.parent.name == "inputs"),
        "criteria": {name: step_counts(paths) for name, paths in by_criterion(counts).items()},
        "sets": set_sizes(sets),
        "inputs": [
            with_surplus({"step": " · ".join(answers_of(path)), **read_json(path)})
            for path in input_counts
        ],
        "examples": {
            path.parent.name: [pair(row) for row in choose(read_rows(path), EXAMPLES, seed)]
            for path in pairs
        },
        "dropped": {
            name: dropped_examples(paths, seed) for name, paths in by_criterion(counts).items()
        },
    }


def answers_of(counts: Path) -> Sequence[str]:
    """Return of a counts file `results/{stage}/….counts.json` the names that lead to it."""
    return counts.with_name(counts.name.removesuffix(".counts.json")).parts[1:]


def pair(row: Row) -> dict[str, Any]:
    """Return a pair for an example: the words marked that the correction changed."""
    return {
        "question": row["question"],
        "critique": row["critique"],
        **marked_changes(row["response"], row["aligned_response"]),
    }


def choose(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """Return some rows by chance."""
    return sorted(rows, key=lambda row: seeded_order(row, seed))[:count]


def dropped_examples(counts: Sequence[Path], seed: int) -> list[dict[str, str]]:
    """Return a dropped row of each step and reason, as step, reason and text."""
    found = []
    for path in counts:
        dropped = path.with_name(path.name.replace("counts.json", "dropped.jsonl"))
        examples: dict[str, Row] = {}
        for row in sorted(read_rows(dropped), key=lambda row: seeded_order(row, seed)):
            examples.setdefault(row["reason"], row)
        found += [
            {"step": step_of(path), "reason": reason, "text": text_of(examples[reason])}
            for reason in sorted(examples)
        ]
    return found


def text_of(row: Row) -> str:
    """Return the texts of a dropped row in one line, cut if they are long."""
    texts = (" ".join(row[key].split()) or "(empty)" for key in TEXTS if key in row)
    text = " → ".join(texts)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
