"""Reads the two AlpacaEval files of a comparison as pairs of texts for the same questions."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aligners.core.errors import UserError
from aligners.core.rows import Row, read_json
from aligners.evaluation.alpaca_eval_files import Output


@dataclass(frozen=True)
class TextPair:
    """Two texts for a question, one of the system and one of the reference.

    Attributes:
        input: the row of results/inputs/, with id, question and category.
        output: the system's text.
        reference_output: the reference's text.
        unchanged: whether the system's text equals the base LLM's response.
    """

    input: Row
    output: str
    reference_output: str
    unchanged: bool


def read_pairs(
    model_outputs: Path,
    reference_outputs: Path,
    inputs: Sequence[Row],
    base_responses: Mapping[str, str],
) -> list[TextPair]:
    """Return the pairs of a comparison in the order of its files.

    Args:
        model_outputs, reference_outputs: lists of objects with `instruction` and `output`.
        inputs: rows of the data set; each instruction is one of their questions.
        base_responses: the base LLM's responses, by question id.

    Raises:
        UserError: a file is damaged, or the two do not have the same instructions, each once.
    """
    ours, theirs = read_outputs(model_outputs), read_outputs(reference_outputs)
    unmatched = ours.keys() ^ theirs.keys()
    if unmatched:
        first = next(iter(unmatched))
        path = model_outputs if first in ours else reference_outputs
        raise UserError(
            f"{model_outputs.parent}: {len(unmatched)} instructions are in one of the two files "
            f"only, such as {shorten(first)} in {path.name}; delete both files and run again"
        )
    questions = {row["question"]: row for row in inputs}
    pairs = []
    for text, output in ours.items():
        row = questions.get(text)
        if row is None or row["id"] not in base_responses:
            raise UserError(
                f"{model_outputs}: the instruction {shorten(text)} is not a question of its data "
                "set with a response of the base LLM; delete the file and run again"
            )
        unchanged = output == base_responses[row["id"]]
        pairs.append(TextPair(row, output, theirs[text], unchanged))
    return pairs


def read_outputs(path: Path) -> dict[str, str]:
    """Return the outputs of an AlpacaEval file by instruction.

    Raises:
        UserError: the file is not an AlpacaEval file, or an instruction occurs twice.
    """
    outputs: dict[str, str] = {}
    for number, row in enumerate(read_json(path, list[Output]), start=1):
        if row["instruction"] in outputs:
            raise UserError(
                f"{path}, row {number}: the instruction {shorten(row['instruction'])} occurs "
                "twice, but AlpacaEval needs different instructions; delete the file and run again"
            )
        outputs[row["instruction"]] = row["output"]
    return outputs


def shorten(text: str) -> str:
    """Return the beginning of a text in quotes, for a message."""
    return repr(text if len(text) <= 60 else f"{text[:60]}…")
