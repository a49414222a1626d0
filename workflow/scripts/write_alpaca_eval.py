"""Write the two AlpacaEval files of a comparison: a system's outputs, and the reference's."""

from pathlib import Path

from aligners.alpaca_eval_files import alpaca_eval_rows, final_answers, sample_inputs
from aligners.program import run
from aligners.rows import read_rows, write_json


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

    `system` and `reference` are the names of the generators in the files.
    """
    chosen = sample_inputs(read_rows(inputs), rows, seed)
    for path, answers, generator in (
        (model_outputs, aligned, system),
        (reference_outputs, reference_answers, reference),
    ):
        outputs = final_answers(read_rows(answers))
        write_json(path, alpaca_eval_rows(chosen, outputs, generator, dataset))


if __name__ == "__main__":
    run(main)
