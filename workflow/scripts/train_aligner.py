"""Train the aligner of a criterion, the conditioned aligner, or an external aligner."""

from pathlib import Path

from aligners.configuration import results
from aligners.configuration.criteria import load_principles, numbered
from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.recipes import load_recipe
from aligners.configuration.working_state import working_directory
from aligners.core.program import run
from aligners.core.rows import Row, read_rows
from aligners.correction.input_format import FORMATS, InputFormat, conditioned
from aligners.correction.train import train_aligner
from aligners.synthesis.training_sets import sample
from aligners.training.record import Source
from aligners.training.run import TrainingRun

FIELDS = ("id", "question", "response", "aligned_response")


def choose_format(external: str, recipe: BackboneRecipe, *, reads_principles: bool) -> InputFormat:
    """Return the format of an external aligner's template if there is one, else the recipe's."""
    if external:
        return InputFormat(external)
    chosen = FORMATS[recipe.format]
    return conditioned(chosen) if reads_principles else chosen


def read_all(paths: list[Path], criteria: list[str]) -> list[Row]:
    """Return the rows of all files; with `criteria`, each row has its criterion's principles."""
    if not criteria:
        return [row for path in paths for row in read_rows(path, FIELDS)]
    texts = [numbered(load_principles(criterion)) for criterion in criteria]
    return [
        {**row, "principles": text}
        for path, text in zip(paths, texts, strict=True)
        for row in read_rows(path, FIELDS)
    ]


def main(
    *,
    backbone: str,
    train: list[Path],
    validation: list[Path],
    rows: int,
    seed: int,
    input_format: str,
    criteria: list[str],
    fingerprint: str,
    model: Path,
    metrics: Path,
    losses: Path,
) -> None:
    """Write the aligner's model directory, its metrics, and its loss curves as PNG.

    `input_format` is the prompt template of an external aligner; empty for the recipe's format.
    `criteria` are the criteria of the files, in the same order, if the aligner is conditioned:
    then each row contains its criterion's principles. For other aligners it is empty.
    """
    recipe = load_recipe(BackboneRecipe, backbone)
    training = TrainingRun(
        Source("aligner", results.ALIGNER.names(model)["aligner"], backbone, [*train, *validation]),
        recipe,
        seed,
        model,
        working_directory(model, fingerprint),
    )
    train_rows, _ = sample(read_all(train, criteria), rows, seed)
    result = train_aligner(
        training,
        choose_format(input_format, recipe, reads_principles=bool(criteria)),
        train_rows,
        read_all(validation, criteria),
    )
    training.finish(result, metrics, losses)


if __name__ == "__main__":
    run(main)
