"""Write the two AlpacaEval files of a comparison: outputs of the system and of the reference."""

import logging
from pathlib import Path
from typing import Literal

from aligners.core.errors import UserError
from aligners.core.program import run
from aligners.core.rows import iterate_rows, write_json
from aligners.evaluation.alpaca_eval_files import alpaca_eval_rows, read_answers, sample_inputs

logger = logging.getLogger(__name__)


def main(
    *,
    dataset: str,
    inputs: Path,
    system: str,
    aligned: Path,
    reference: str,
    reference_answers: Path,
    reference_field: Literal["response", "aligned_response"],
    failed: list[Path],
    rows: int,
    seed: int,
    model_outputs: Path,
    reference_outputs: Path,
) -> None:
    """Write the same seeded sample of at most `rows` questions, in the same order, to both files.

    `system` and `reference` are the names of the generators in the files. `reference_field` is the
    field with the text of the reference. `failed` are the dropped rows of the LLMs' responses:
    these questions, which `require_all: false` allows, are left out of both files.
    """
    sampled = sample_inputs(iterate_rows(inputs, needs=("id", "question")), rows, seed)
    asked = {row["id"] for row in sampled}
    without = {row["id"] for path in failed for row in iterate_rows(path, needs=("id", "reason"))}
    outputs = read_answers(aligned, "aligned_response", asked, without)
    references = read_answers(reference_answers, reference_field, asked, without)
    chosen = [row for row in sampled if row["id"] in outputs and row["id"] in references]
    if missing := len(sampled) - len(chosen):
        logger.warning(
            "%d of %d questions have no response and are left out of both files",
            missing,
            len(sampled),
        )
    if not chosen:
        raise UserError(
            f"{model_outputs}: none of the {len(sampled)} questions of {inputs} has both texts; "
            "delete the files of the responses and run again, which requests the failed ones"
        )
    write_json(model_outputs, alpaca_eval_rows(chosen, outputs, system, dataset))
    write_json(reference_outputs, alpaca_eval_rows(chosen, references, reference, dataset))


if __name__ == "__main__":
    run(main)
