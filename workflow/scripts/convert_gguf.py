"""Convert a GGUF file to a model directory of transformers."""

from pathlib import Path

from aligners.core.program import run
from aligners.models.gguf import convert


def main(*, gguf: Path, output: Path) -> None:
    """Write the weights in float32, the configuration and the tokenizer to `output`."""
    convert(gguf, output)


if __name__ == "__main__":
    run(main)
