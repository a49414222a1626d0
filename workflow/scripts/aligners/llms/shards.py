"""Shards: a long stage runs as several jobs, and their outputs are gathered in one file."""

from pathlib import Path

from aligners.core.counts import Sieve, write_sieve
from aligners.core.rows import Row, by_id, read_json, read_rows, write_json
from aligners.llms.usage import add_usage


def shard_rows(rows: list[Row], shard: int, shards: int) -> list[Row]:
    """Return the rows of shard `shard` of `shards`. A row's shard depends only on its id."""
    return [row for row in rows if int(row["id"], 16) % shards == shard]


def gather_shards(inputs: Path, shards: list[Path], output: Path) -> None:
    """Write the rows of all shards to `output`, in the order of the rows in `inputs`.

    Their dropped rows, counts and usage are written to files beside it.
    """
    kept = by_id(row for shard in shards for row in read_rows(shard))
    dropped = by_id(
        row for shard in shards for row in read_rows(shard.with_suffix(".dropped.jsonl"))
    )
    order = [row["id"] for row in read_rows(inputs)]
    sieve = Sieve(
        [kept[key] for key in order if key in kept],
        [dropped[key] for key in order if key in dropped],
    )
    write_sieve(sieve, output)
    usage = add_usage([read_json(shard.with_suffix(".usage.json")) for shard in shards])
    write_json(output.with_suffix(".usage.json"), usage)
