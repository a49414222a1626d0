"""Train, calibrate and test the inspector of a criterion."""

import shutil
from pathlib import Path

from aligners.inspector_training import train_inspector
from aligners.program import run
from aligners.recipes import load_recipe
from aligners.rows import read_rows, write_json
from aligners.working_state import working_directory


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
) -> None:
    """Write the inspector's model directory, and its metrics on the test rows."""
    working = working_directory(model, fingerprint)
    result = train_inspector(
        load_recipe("inspectors", inspector),
        read_rows(train),
        read_rows(validation),
        read_rows(test),
        model,
        working,
        seed,
    )
    write_json(metrics, result)
    shutil.rmtree(working)


if __name__ == "__main__":
    run(main)
