"""Deduplicate the topics of a criterion and balance them over its question types."""

from pathlib import Path

from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import read_rows
from aligners.synthesis.topics import distinct_topics


def main(*, topics: Path, synthesis: str, seed: int, output: Path) -> None:
    """Write distinct, balanced, shuffled topics to `output`; counts and dropped rows beside it."""
    settings = load_recipe(SynthesisRecipe, synthesis).topics
    rows = read_rows(topics, needs=("id", "question_type", "topic"))
    write_filtered(distinct_topics(rows, settings, seed), output, len(rows))


if __name__ == "__main__":
    run(main)
