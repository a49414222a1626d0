"""Combine the shards of a criterion's pairs, in the order of the questions."""

from pathlib import Path

from aligners.core.program import run
from aligners.llms.shards import gather_shards

FIELDS = ("id", "criterion", "question", "response", "critique", "aligned_response")


def main(*, questions: Path, shards: list[Path], output: Path) -> None:
    """Write the pairs of all shards to `output`; counts, dropped rows and usage beside it."""
    gather_shards(questions, shards, output, FIELDS)


if __name__ == "__main__":
    run(main)
