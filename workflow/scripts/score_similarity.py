"""Score how similar each response is to its correction."""

from pathlib import Path

from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.plots import plot_histogram
from aligners.core.program import run
from aligners.core.rows import read_rows, write_rows
from aligners.synthesis.similarity import cosine_similarities, load_encoder


def main(*, criterion: str, pairs: Path, encoder: str, output: Path, histogram: Path) -> None:
    """Write the pairs with their `similarity` in [-1, 1], and its histogram as PNG."""
    rows = read_rows(pairs, needs=("id", "response", "aligned_response"))
    recipe = load_recipe(EncoderRecipe, encoder)
    similarities = cosine_similarities(
        load_encoder(recipe),
        [row["response"] for row in rows],
        [row["aligned_response"] for row in rows],
        recipe.batch_size,
    )
    near_copy = load_recipe(CriterionRecipe, criterion).near_copy_similarity
    plot_histogram(
        similarities,
        histogram,
        "cosine similarity of response and correction",
        near_copy if near_copy < 1 else None,
    )
    write_rows(
        output,
        [
            {**row, "similarity": similarity}
            for row, similarity in zip(rows, similarities, strict=True)
        ],
    )


if __name__ == "__main__":
    run(main)
