"""Write the card of a trained aligner or inspector."""

from pathlib import Path

from aligners.configuration.criteria import languages_of
from aligners.core.program import run
from aligners.core.rows import atomic_path
from aligners.publishing.model_card import model_card


def main(*, model: Path, criteria: list[str], output: Path) -> None:
    """Write the card of a model directory in the README.md format of the Hugging Face Hub.

    `criteria` are those of the model.
    """
    with atomic_path(output) as partial:
        model_card(model, languages_of(criteria)).save(partial)


if __name__ == "__main__":
    run(main)
