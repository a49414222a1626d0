"""Write the two AlpacaEval files of a comparison: outputs of the system and of the reference."""

import logging
from pathlib import Path

from aligners.core.program import run
from aligners.core.rows import read_rows, write_json
from aligners.evaluation.alpaca_eval_files import alpaca_eval_rows, final_answers, sample_inputs

logger = logging.getLogger(__name__)


def main(
    *,
    dataset: str,
    inputs: Path,
    system: str,
    aligned: Path,
    reference: str,
    reference_answers: Path,
    rows: int,
    seed: int,
    model_outputs: Path,
    reference_outputs: Path,
) -> None:
    """Write the same seeded sample of at most `rows` questions, in the same order, to both files.

    `system` and `reference` are the names of the generators in the files. Questions without a
    response, which `require_all: false` allows, are left out of both.
    """
    outputs = final_answers(read_rows(aligned))
    references = final_answers(read_rows(reference_answers))
    sampled = sample_inputs(read_rows(inputs), rows, seed)
    chosen = [row for row in sampled if row["id"] in outputs and row["id"] in references]
    if missing := len(sampled) - len(chosen):
        logger.warning(
            "%d of %d questions have no response and are left out of both files",
            missing,
            len(sampled),
        )
    write_json(model_outputs, alpaca_eval_rows(chosen, outputs, system, dataset))
    write_json(reference_outputs, alpaca_eval_rows(chosen, references, reference, dataset))


if __name__ == "__main__":
    run(main)
