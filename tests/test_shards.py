"""Shards: which rows a job gets."""

from aligners.rows import row_id
from aligners.shards import shard_rows


def test_shards_are_a_partition_that_new_rows_do_not_change() -> None:
    rows = [{"id": row_id(str(number))} for number in range(300)]
    shards = [shard_rows(rows, shard, 4) for shard in range(4)]
    assert sorted(row["id"] for shard in shards for row in shard) == sorted(
        row["id"] for row in rows
    )
    assert all(50 < len(shard) < 100 for shard in shards)
    assert [row for row in shard_rows(rows[::2], 1, 4)] == [
        row for row in shards[1] if row in rows[::2]
    ]
