"""Correct an LLM's answers with the aligner of one criterion."""

from pathlib import Path

from aligners.aligner import Aligner
from aligners.program import run
from aligners.recipes import load_recipe
from aligners.rows import read_rows, write_rows


def main(*, criterion: str, backbone: str, responses: Path, model: Path, output: Path) -> None:
    """Write every answer with its correction and trace to `output`."""
    rows = read_rows(responses)
    batch_tokens = load_recipe("backbones", backbone)["batch_tokens"]
    aligned = Aligner.from_directory(model, batch_tokens=batch_tokens).align(
        [row["question"] for row in rows], [row["response"] for row in rows]
    )
    step = {"criterion": criterion, "before": None, "after": None, "accepted": True}
    write_rows(
        output,
        [
            {**row, "aligned_response": text, "trace": [step]}
            for row, text in zip(rows, aligned, strict=True)
        ],
    )


if __name__ == "__main__":
    run(main)
