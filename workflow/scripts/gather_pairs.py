"""Gather the shards of a criterion's pairs, in the order of the questions."""

from pathlib import Path

from aligners.counts import Sieve, write_sieve
from aligners.program import run
from aligners.rows import by_id, read_rows


def main(*, questions: Path, shards: list[Path], output: Path) -> None:
    """Write the pairs of all shards to `output`, counts and dropped rows beside it."""
    kept = by_id(row for shard in shards for row in read_rows(shard))
    dropped = by_id(
        row for shard in shards for row in read_rows(shard.with_suffix(".dropped.jsonl"))
    )
    order = [row["id"] for row in read_rows(questions)]
    sieve = Sieve(
        [kept[key] for key in order if key in kept],
        [dropped[key] for key in order if key in dropped],
    )
    write_sieve(sieve, output)


if __name__ == "__main__":
    run(main)
