"""Train, calibrate and test the inspector of a criterion."""

import shutil
from pathlib import Path

from aligners.configuration.recipes import load_recipe
from aligners.configuration.working_state import working_directory
from aligners.core.plots import plot_losses
from aligners.core.program import run
from aligners.core.rows import read_rows, write_json, write_rows
from aligners.inspectors.train import train_inspector
from aligners.training.record import Source
from aligners.training.trainer import process_state


def main(
    *,
    inspector: str,
    train: Path,
    validation: Path,
    test: Path,
    seed: int,
    fingerprint: str,
    model: Path,
    metrics: Path,
    test_scores: Path,
    losses: Path,
) -> None:
    """Write the inspector's model directory, metrics and scores of test rows, and loss curves."""
    working = working_directory(model, fingerprint)
    result, scores = train_inspector(
        load_recipe("inspectors", inspector),
        read_rows(train),
        read_rows(validation),
        read_rows(test),
        model,
        working,
        seed,
        Source("inspector", model.parent.name, inspector, [train, validation, test]),
    )
    if process_state().is_main_process:
        plot_losses(result["losses"], losses, unit="row")
        write_rows(test_scores, scores)
        write_json(metrics, result)
        shutil.rmtree(working)


if __name__ == "__main__":
    run(main)
