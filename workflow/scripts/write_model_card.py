"""Write the card of a trained aligner or inspector."""

from pathlib import Path

from aligners.core.program import run
from aligners.core.rows import atomic_path
from aligners.publishing.model_card import model_card


def main(*, model: Path, output: Path) -> None:
    """Write the card of a model directory in the README.md format of the Hugging Face Hub."""
    with atomic_path(output) as partial:
        model_card(model).save(partial)


if __name__ == "__main__":
    run(main)
