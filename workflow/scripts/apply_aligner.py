"""Correct an LLM's responses with one aligner, without inspectors."""

from pathlib import Path

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.program import run
from aligners.core.rows import read_rows, write_rows
from aligners.correction.aligner import Aligner


def main(*, criteria: list[str], backbone: str, responses: Path, model: Path, output: Path) -> None:
    """Write every answer with its correction and trace to `output`.

    The aligner passes over the answers once for each criterion, in order: one for the aligner of a
    criterion, all for the conditioned one.
    """
    rows = read_rows(responses)
    batch_tokens = load_recipe(BackboneRecipe, backbone).batch_tokens
    aligner = Aligner.from_directory(model, batch_tokens=batch_tokens)
    questions = [row["question"] for row in rows]
    answers = [row["response"] for row in rows]
    for criterion in criteria:
        answers = aligner.for_criterion(criterion)(questions, answers)
    trace = [
        {"criterion": criterion, "before": None, "after": None, "accepted": True}
        for criterion in criteria
    ]
    write_rows(
        output,
        [
            {**row, "aligned_response": text, "trace": trace}
            for row, text in zip(rows, answers, strict=True)
        ],
    )


if __name__ == "__main__":
    run(main)
