"""Correct an LLM's responses with a squad, whose gate accepts or rejects each correction."""

from dataclasses import asdict
from pathlib import Path

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.program import run
from aligners.core.rows import read_rows, write_rows
from aligners.squads.squad import Squad


def main(*, squad: Path, backbone: str, llm: str, responses: Path, output: Path) -> None:
    """Write every response with its correction, scores and trace to `output`.

    `squad` is the directory of a squad (`assemble_squad`), whose aligners generate where the recipe
    of `backbone` says. `llm` wrote the responses. If its recipe asks for the first sentence, as in
    the paper's reproduction, the paper's squad writes only first sentences too.
    """
    rows = read_rows(responses, needs=("id", "question", "response"))
    first_sentence = load_recipe(LLMRecipe, llm).responses.first_sentence
    with Squad.load(squad, inference=load_recipe(BackboneRecipe, backbone).inference) as loaded:
        results = loaded.align(
            [row["question"] for row in rows],
            [row["response"] for row in rows],
            ids=[row["id"] for row in rows],
            first_sentences=first_sentence and not loaded.gated,
        )
    write_rows(
        output, [{**row, **asdict(result)} for row, result in zip(rows, results, strict=True)]
    )


if __name__ == "__main__":
    run(main)
