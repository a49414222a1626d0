"""Train, calibrate and test the inspector of a criterion."""

from pathlib import Path

from aligners.configuration import results
from aligners.configuration.kinds.inspectors import InspectorRecipe
from aligners.configuration.recipes import load_recipe
from aligners.configuration.working_state import working_directory
from aligners.core.program import run
from aligners.core.rows import read_rows, write_rows
from aligners.inspectors.train import train_inspector
from aligners.training.process import process_state
from aligners.training.record import Source
from aligners.training.run import TrainingRun

FIELDS = ("id", "question_id", "question", "response", "label")


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
    """Write the inspector's model directory, its metrics, test scores and loss curves."""
    training = TrainingRun(
        Source(
            "inspector",
            results.INSPECTOR.names(model)["criterion"],
            inspector,
            [train, validation, test],
        ),
        load_recipe(InspectorRecipe, inspector),
        seed,
        model,
        working_directory(model, fingerprint),
    )
    sets = [read_rows(path, FIELDS) for path in (train, validation, test)]
    result, scores = train_inspector(training, *sets)
    if process_state().is_main_process:
        write_rows(test_scores, scores)
    training.finish(result, metrics, losses, unit="row")


if __name__ == "__main__":
    run(main)
