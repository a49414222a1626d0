"""Gather the shards of an LLM's answers, in the order of the data set."""

from pathlib import Path

from aligners.program import run
from aligners.rows import by_id, read_rows, write_rows


def main(*, inputs: Path, shards: list[Path], output: Path) -> None:
    """Write the answers of all shards to `output`."""
    answers = by_id(row for shard in shards for row in read_rows(shard))
    write_rows(output, [answers[row["id"]] for row in read_rows(inputs)])


if __name__ == "__main__":
    run(main)
