"""Train the aligner of a criterion, or one of an external aligner's format on all criteria."""

import shutil
from pathlib import Path

from aligners.aligner_training import train_aligner
from aligners.input_format import OWN_FORMAT, InputFormat
from aligners.plots import plot_losses
from aligners.program import run
from aligners.recipes import load_recipe
from aligners.rows import read_rows, write_json
from aligners.training import process_state
from aligners.training_record import Source
from aligners.training_sets import sample
from aligners.working_state import working_directory


def main(
    *,
    backbone: str,
    train: list[Path],
    validation: list[Path],
    rows: int,
    seed: int,
    input_format: str,
    fingerprint: str,
    model: Path,
    metrics: Path,
    losses: Path,
) -> None:
    """Write the aligner's model directory, its metrics, and its loss curves as PNG.

    `input_format` is the prompt template of the external aligner that the model stands in for;
    empty for our own format.
    """
    working = working_directory(model, fingerprint)
    chosen, _ = sample([row for path in train for row in read_rows(path)], rows, seed)
    result = train_aligner(
        load_recipe("backbones", backbone),
        InputFormat(input_format) if input_format else OWN_FORMAT,
        chosen,
        [row for path in validation for row in read_rows(path)],
        model,
        working,
        seed,
        Source("aligner", model.parent.name, backbone, [*train, *validation]),
    )
    if process_state().is_main_process:
        plot_losses(result["losses"], losses)
        write_json(metrics, result)
        shutil.rmtree(working)


if __name__ == "__main__":
    run(main)
