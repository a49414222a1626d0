"""Correct an LLM's responses with one aligner, without inspectors."""

from pathlib import Path

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.program import run
from aligners.core.reasons import ACCEPTED
from aligners.core.rows import read_rows, write_rows
from aligners.correction.aligner import Aligner
from aligners.correction.gate import Decision
from aligners.correction.turns import traced_turn


def main(*, criteria: list[str], backbone: str, responses: Path, model: Path, output: Path) -> None:
    """Write every response with its correction and trace to `output`.

    The aligner corrects the responses once for each of the `criteria`, in their order. For the
    aligner of one criterion, `criteria` has this criterion; for the conditioned aligner, all. A
    correction with a problem is not used: the text stays, and the trace has the reason.
    """
    rows = read_rows(responses, needs=("id", "question", "response"))
    recipe = load_recipe(BackboneRecipe, backbone)
    aligner = Aligner.from_directory(
        model, batch_tokens=recipe.batch_tokens, inference=recipe.inference
    )
    questions = [row["question"] for row in rows]
    aligned = [{**row, "aligned_response": row["response"], "trace": []} for row in rows]
    for criterion in criteria:
        texts = [row["aligned_response"] for row in aligned]
        corrections = aligner.for_criterion(criterion)(questions, texts)
        for row, correction in zip(aligned, corrections, strict=True):
            decision = Decision(correction.problem or ACCEPTED)
            row["trace"].append(traced_turn(criterion, None, correction.text, None, decision))
            row["aligned_response"] = correction.or_keep(row["aligned_response"])
    write_rows(output, aligned)


if __name__ == "__main__":
    run(main)
