"""Correct an LLM's responses with a squad, whose gate accepts or rejects each correction."""

from dataclasses import asdict
from functools import partial
from pathlib import Path

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe
from aligners.configuration.systems import SYSTEMS
from aligners.core.program import run
from aligners.core.rows import read_rows, write_rows
from aligners.correction.loading import load_aligners
from aligners.correction.squad import (
    align_with_squad,
    align_with_squad_paper,
    with_first_sentences,
)
from aligners.inspectors.inspector import Inspector
from aligners.synthesis.familiarity import FamiliarQuestions
from aligners.synthesis.similarity import embedder


def main(
    *,
    system: str,
    criteria: list[str],
    llm: str,
    backbone: str,
    responses: Path,
    aligners: list[Path],
    inspectors: list[Path],
    familiar_questions: Path,
    encoder: str,
    margin: float,
    output: Path,
) -> None:
    """Write every response with its correction, scores and trace to `output`.

    `aligners` and `inspectors` are the model directories of the criteria, in the same order. The
    conditioned aligner is given once for each criterion, but loaded only once. `familiar_questions`
    are embeddings by `encoder` (`embed_questions`). `margin` is the rise
    in logits that the gate requires. `llm` wrote the responses. If its recipe asks for the first
    sentence, as in the paper's reproduction, the paper's squad writes only first sentences too.
    """
    recipe = load_recipe(BackboneRecipe, backbone)
    rows = read_rows(responses, needs=("id", "question", "response"))
    models = load_aligners(aligners, recipe.inference, recipe.batch_tokens)
    aligners_of = {
        criterion: models[path].for_criterion(criterion)
        for criterion, path in zip(criteria, aligners, strict=True)
    }
    questions = [row["question"] for row in rows]
    if SYSTEMS[system].gated:
        familiar = FamiliarQuestions.load(familiar_questions).familiar(
            embedder(load_recipe(EncoderRecipe, encoder)), questions
        )
        align = partial(align_with_squad, least_rise=margin, familiar=familiar)
    else:
        align = align_with_squad_paper
        if load_recipe(LLMRecipe, llm).responses.first_sentence:
            aligners_of = {
                name: with_first_sentences(aligner) for name, aligner in aligners_of.items()
            }
    results = align(
        questions,
        [row["response"] for row in rows],
        aligners_of,
        {
            criterion: Inspector.from_directory(path)
            for criterion, path in zip(criteria, inspectors, strict=True)
        },
        ids=[row["id"] for row in rows],
    )
    write_rows(
        output, [{**row, **asdict(result)} for row, result in zip(rows, results, strict=True)]
    )


if __name__ == "__main__":
    run(main)
