"""Embed the training questions, so that a squad can tell which questions are like them."""

from pathlib import Path

from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.program import run
from aligners.core.rows import iterate_rows
from aligners.synthesis.familiarity import FamiliarQuestions
from aligners.synthesis.similarity import embedder


def main(
    *, splits: list[Path], encoder: str, familiar_share: float, seed: int, output: Path
) -> None:
    """Write the embeddings of training questions, and the bound of familiar ones, to `output`.

    `splits` are the split files of all criteria.
    """
    sides: dict[str, list[str]] = {"train": [], "validation": [], "test": []}
    for path in splits:
        for row in iterate_rows(path, needs=("id", "question", "split")):
            sides[row["split"]].append(row["question"])
    embed = embedder(load_recipe(EncoderRecipe, encoder))
    FamiliarQuestions.fit(embed, sides["train"], sides["validation"], familiar_share, seed).save(
        output
    )


if __name__ == "__main__":
    run(main)
