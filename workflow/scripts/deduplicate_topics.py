"""Deduplicate the topics of a criterion and balance them over its question types."""

from pathlib import Path

from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import Sieve, write_sieve
from aligners.core.program import run
from aligners.core.rows import read_rows
from aligners.synthesis.topics import balance_topics, deduplicate_topics


def main(*, topics: Path, synthesis: str, seed: int, output: Path) -> None:
    """Write distinct, balanced, shuffled topics to `output`; counts and dropped rows beside it."""
    settings = load_recipe(SynthesisRecipe, synthesis).topics
    near = settings.near_duplicates
    distinct = deduplicate_topics(read_rows(topics), near.shingle, near.similarity)
    balanced = balance_topics(distinct.kept, settings.balance.largest_to_median, seed)
    write_sieve(Sieve(balanced.kept, distinct.dropped + balanced.dropped), output)


if __name__ == "__main__":
    run(main)
