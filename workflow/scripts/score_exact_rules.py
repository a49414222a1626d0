"""Score responses and corrections by the exact rules of the policies."""

from pathlib import Path

from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.recipes import load_recipe
from aligners.configuration.scored_results import ScoredResults
from aligners.core.program import run
from aligners.core.rows import atomic_path, write_json
from aligners.evaluation.rule_scores import rule_scores, score_table
from aligners.synthesis.similarity import embedder


def main(*, scored: ScoredResults, encoder: str, output: Path, table: Path) -> None:
    """Write the scores of each LLM's responses and of their corrections, as JSON and a table."""
    scores = rule_scores(scored, embedder(load_recipe(EncoderRecipe, encoder)))
    write_json(output, scores)
    with atomic_path(table) as partial:
        partial.write_text(score_table(scores), encoding="utf-8")


if __name__ == "__main__":
    run(main)
