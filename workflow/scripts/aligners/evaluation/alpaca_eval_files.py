"""AlpacaEval files: two lists of outputs for the same questions, which a judge compares."""

import heapq
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

from aligners.core.errors import UserError
from aligners.core.rows import Row, iterate_rows, seeded_order


class Output(BaseModel):
    """What a judge reads of an element of an AlpacaEval file."""

    instruction: str
    output: str


class NamedOutput(Output):
    """An output with the name of its generator."""

    generator: str


def sample_inputs(inputs: Iterable[Row], count: int, seed: int) -> list[Row]:
    """Return a seeded sample of at most `count` test questions, in their original order.

    The sample depends only on ids and seed, so all comparisons on a data set use the same rows.
    """
    numbered = enumerate(inputs)
    sample = heapq.nsmallest(count, numbered, key=lambda item: seeded_order(item[1], seed))
    return [row for _, row in sorted(sample, key=lambda item: item[0])]


def read_answers(
    path: Path, field: str, questions: Collection[str], failed: Collection[str]
) -> dict[str, str]:
    """Return the field with the answer to each question, by the question's id.

    Args:
        path: file of responses or corrections.
        field: "response", or "aligned_response" for corrections.
        questions: ids of the questions.
        failed: ids of the questions to which an LLM gave no response.

    Raises:
        UserError: the file has no row of a question that has not failed.
    """
    rows = iterate_rows(path, needs=("id", "response", field))
    answers = {row["id"]: row[field] for row in rows if row["id"] in questions}
    missing = (key for key in questions if key not in answers and key not in failed)
    if (first := next(missing, None)) is not None:
        raise UserError(
            f"{path}: no row of the question {first}, and no LLM failed to respond to it, so the "
            "file is not complete; delete it and run again"
        )
    return answers


def alpaca_eval_rows(
    inputs: Sequence[Row], outputs: Mapping[str, str], generator: str, dataset: str
) -> list[Row]:
    """Return the list that AlpacaEval reads. `outputs` has a text for the id of each question."""
    return [
        {
            "instruction": row["question"],
            "output": outputs[row["id"]],
            "generator": generator,
            "dataset": dataset,
            "datasplit": "test",
        }
        for row in inputs
    ]
