"""Combine the shards of an LLM's responses, in the order of the data set."""

from pathlib import Path

from aligners.core.program import run
from aligners.llms.shards import gather_shards

FIELDS = ("id", "question", "response")


def main(*, inputs: Path, shards: list[Path], output: Path) -> None:
    """Write the responses of all shards to `output`; counts, dropped rows and usage beside it."""
    gather_shards(inputs, shards, output, FIELDS)


if __name__ == "__main__":
    run(main)
