"""The two AlpacaEval files of a comparison, read as pairs of texts for the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligners.core.errors import UserError
from aligners.core.rows import Row, read_json


@dataclass(frozen=True)
class Pair:
    """Two texts for a question: our correction and the reference's response.

    Attributes:
        input: the row of results/inputs/, with id, question and category.
        output: our answer.
        reference_output: the reference's.
        unchanged: whether our answer is the base answer, copied.
    """

    input: Row
    output: str
    reference_output: str
    unchanged: bool


def read_pairs(
    model_outputs: Path,
    reference_outputs: Path,
    inputs: Sequence[Row],
    base_answers: Mapping[str, str],
) -> list[Pair]:
    """Return the pairs of a comparison in the order of its files.

    Args:
        model_outputs, reference_outputs: lists of objects with `instruction` and `output`.
        inputs: rows of the data set, in which each instruction is found as a question.
        base_answers: the base LLM's answers, by question id.

    Raises:
        UserError: a file is damaged, or the two do not have the same instructions, each once.
    """
    ours, theirs = read_outputs(model_outputs), read_outputs(reference_outputs)
    only_one = ours.keys() ^ theirs.keys()
    if only_one:
        first = next(iter(only_one))
        has = model_outputs if first in ours else reference_outputs
        raise UserError(
            f"{model_outputs.parent}: the two files do not have the same instructions: "
            f"{len(only_one)} are in one of them alone, such as {shown(first)} in {has.name}; "
            "delete both, so that they are made anew"
        )
    questions = {row["question"]: row for row in inputs}
    if unknown := next((text for text in ours if text not in questions), None):
        raise UserError(
            f"{model_outputs}: the instruction {shown(unknown)} is no question of its data set; "
            "delete the file, so that it is made anew"
        )
    return [
        Pair(
            questions[text],
            output,
            theirs[text],
            unchanged=output == base_answers.get(questions[text]["id"]),
        )
        for text, output in ours.items()
    ]


def read_outputs(path: Path) -> dict[str, str]:
    """Return the outputs of an AlpacaEval file by instruction.

    Raises:
        UserError: it is not such a file, or an instruction occurs twice.
    """
    rows: Any = read_json(path)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{path}: not a list of objects; delete the file, so that it is made anew")
    outputs: dict[str, str] = {}
    for number, row in enumerate(rows, start=1):
        for field in ("instruction", "output"):
            if not isinstance(row.get(field), str):
                raise UserError(
                    f"{path}, row {number}: {field!r} is no text; mend it, or delete the file, so "
                    "that it is made anew"
                )
        if row["instruction"] in outputs:
            raise UserError(
                f"{path}, row {number}: the instruction {shown(row['instruction'])} occurs twice, "
                "and AlpacaEval joins by it; delete the file, so that it is made anew"
            )
        outputs[row["instruction"]] = row["output"]
    return outputs


def shown(text: str) -> str:
    """Return the beginning of a text, for a message."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
