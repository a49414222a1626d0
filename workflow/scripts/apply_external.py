"""Correct an LLM's responses with an external aligner."""

from pathlib import Path

from aligners.configuration.kinds.external import ExternalRecipe, ReleasedExternalRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.program import run
from aligners.core.rows import read_rows, write_rows
from aligners.correction.aligner import Aligner


def main(*, external: str, responses: Path, model: list[Path], output: Path) -> None:
    """Write every response with its correction to `output`.

    A correction with a problem is not used: the response stays, and the log has the number.
    `model` is the directory of an external aligner that the workflow trained. If it is empty, the
    released model that the recipe names is loaded.
    """
    if model:
        recipe = load_recipe(ExternalRecipe, external)
        aligner = Aligner.from_directory(
            model[0], batch_tokens=recipe.batch_tokens, inference=recipe.inference
        )
    else:
        aligner = Aligner.from_recipe(load_recipe(ReleasedExternalRecipe, external), external)
    rows = read_rows(responses, needs=("id", "question", "response"))
    corrections = aligner.align(
        [row["question"] for row in rows], [row["response"] for row in rows]
    )
    write_rows(
        output,
        [
            {**row, "aligned_response": correction.or_keep(row["response"])}
            for row, correction in zip(rows, corrections, strict=True)
        ],
    )


if __name__ == "__main__":
    run(main)
