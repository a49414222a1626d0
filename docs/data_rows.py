"""One row of each kind of file of a demo, for docs/data.md."""

from collections.abc import Callable
from typing import Any

from aligners.configuration import results
from aligners.configuration.results import ResultPath
from aligners.core.rows import Row, read_json, read_rows

# A row of the squad that it corrects by one turn.
TEST_QUESTION = "a8f1707caa1c417c"
CRITERION = "factuality"
NAMES = {
    "criterion": CRITERION,
    "inspector": "bert-closed-world",
    "dataset": "synthetic_mixed",
    "llm": "closed-world-base",
    "backbone": "llama-closed-world",
    "system": "squad",
    "reference": "base",
    "judge": "closed-world",
    "side": "test",
}


def choose_data_rows() -> dict[str, Row]:
    """Return the rows by the part of docs/data.md that shows them."""
    pair = choose_pair()
    inspector_row = find(results.TRAINING_SET, is_rejected(pair), kind="inspector")
    test_input = find(results.INPUTS, has_id(TEST_QUESTION))
    outputs = read_json(results.MODEL_OUTPUTS.path(**NAMES))
    chosen = {
        "counts": read_json(results.QUESTIONS.beside("counts.json").path(**NAMES)),
        "usage": read_json(results.PAIRS.beside("usage.json").path(**NAMES)),
        "topic": find(results.TOPICS, lambda row: True),
        "question": find(results.QUESTIONS, has_id(pair["id"])),
        "pair": pair,
        "split": find(results.SPLIT, has_id(pair["id"])),
        "aligner": find(results.TRAINING_SET, is_correction(pair), kind="aligner"),
        "inspector": inspector_row,
        "score": find(results.INSPECTOR_SCORES, has_id(inspector_row["id"])),
        "input": test_input,
        "response": find(results.RESPONSES, has_id(TEST_QUESTION)),
        "correction": find(results.ALIGNED, has_id(TEST_QUESTION)),
        "output": next(row for row in outputs if row["instruction"] == test_input["question"]),
        "verdict": find(results.VERDICTS, has_id(TEST_QUESTION)),
    }
    return {name: rounded(row) for name, row in chosen.items()}


def choose_pair() -> Row:
    """Return the shortest of the pairs with a correction that both test sets have."""
    aligners = {row["question"] for row in read(results.TRAINING_SET, kind="aligner")}
    inspectors = {row["question"] for row in read(results.TRAINING_SET, kind="inspector")}
    pairs = [
        row
        for row in read(results.PAIRS)
        if row["question"] in aligners & inspectors and row["response"] != row["aligned_response"]
    ]
    return min(pairs, key=lambda row: (len(row["question"] + row["response"]), row["id"]))


def read(pattern: ResultPath, **names: str) -> list[Row]:
    """Return the rows of a file of the demo."""
    return read_rows(pattern.path(**NAMES, **names))


def find(pattern: ResultPath, is_wanted: Callable[[Row], bool], **names: str) -> Row:
    """Return the first row of a file that is wanted."""
    return next(filter(is_wanted, read(pattern, **names)))


def has_id(key: str) -> Callable[[Row], bool]:
    """Return a condition: a row has an id."""
    return lambda row: row["id"] == key


def is_correction(pair: Row) -> Callable[[Row], bool]:
    """Return a condition: a row of the aligners' set is of a pair."""
    return lambda row: row["question"] == pair["question"] and not row["identity"]


def is_rejected(pair: Row) -> Callable[[Row], bool]:
    """Return a condition: a row of the inspectors' set is the response of a pair."""
    return lambda row: row["question_id"] == pair["id"] and row["label"] == 0


def rounded(value: Any) -> Any:
    """Return a JSON value with three digits of each number."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [rounded(item) for item in value]
    return float(f"{value:.3g}") if isinstance(value, float) else value
