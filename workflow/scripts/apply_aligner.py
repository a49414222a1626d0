"""Correct an LLM's responses with one aligner, without inspectors."""

from pathlib import Path

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.program import run
from aligners.core.rows import read_rows, write_rows
from aligners.correction.aligner import Aligner


def main(*, criteria: list[str], backbone: str, responses: Path, model: Path, output: Path) -> None:
    """Write every response with its correction and trace to `output`.

    The aligner corrects the responses once for each of the `criteria`, in their order. For the
    aligner of one criterion, `criteria` has this criterion; for the conditioned aligner, all.
    """
    rows = read_rows(responses, needs=("id", "question", "response"))
    batch_tokens = load_recipe(BackboneRecipe, backbone).batch_tokens
    aligner = Aligner.from_directory(model, batch_tokens=batch_tokens)
    questions = [row["question"] for row in rows]
    texts = [row["response"] for row in rows]
    for criterion in criteria:
        texts = aligner.for_criterion(criterion)(questions, texts)
    trace = [
        {"criterion": criterion, "before": None, "after": None, "accepted": True}
        for criterion in criteria
    ]
    write_rows(
        output,
        [
            {**row, "aligned_response": text, "trace": trace}
            for row, text in zip(rows, texts, strict=True)
        ],
    )


if __name__ == "__main__":
    run(main)
