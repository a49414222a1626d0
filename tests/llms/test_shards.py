"""Shards: the rows of each job, and outputs that do not depend on the number of shards."""

from collections.abc import Callable
from pathlib import Path

import gather_pairs
import gather_responses
import generate_pairs
import generate_responses
import pytest

from aligners.core.rows import read_json, read_rows, row_id, write_rows
from aligners.llms.shards import shard_rows

WORLD = [
    "What is the capital of France?",
    "Which planet is the largest one?",
    "How do I remove a coffee stain?",
    "What do you think of my neighbours?",
]


def test_every_row_is_in_one_shard_that_other_rows_do_not_change() -> None:
    rows = [{"id": row_id(str(number))} for number in range(300)]
    shards = [shard_rows(rows, shard, 4) for shard in range(4)]
    assert sorted(row["id"] for shard in shards for row in shard) == sorted(
        row["id"] for row in rows
    )
    assert all(50 < len(shard) < 100 for shard in shards)
    assert shard_rows(rows[::2], 1, 4) == [row for row in shards[1] if row in rows[::2]]


@pytest.fixture
def questions(project: Path) -> Path:
    texts = [f"{text} I ask for the {number}th time." for number in range(15) for text in WORLD]
    path = project / "questions.jsonl"
    write_rows(path, [{"id": row_id(text), "question": text} for text in texts])
    return path


def pairs(questions: Path, shards: int) -> Path:
    """Generate pairs in `shards` jobs, gather them, and return the output."""
    paths = [Path(f"results/{shards}/pairs/{shard}.jsonl") for shard in range(shards)]
    for shard, path in enumerate(paths):
        generate_pairs.main(
            criterion="ethical",
            teacher="closed-world-teacher",
            synthesis="closed-world",
            questions=questions,
            shard=shard,
            shards=shards,
            seed=0,
            output=path,
        )
    output = Path(f"results/{shards}/pairs.jsonl")
    gather_pairs.main(questions=questions, shards=paths, output=output)
    return output


def responses(questions: Path, shards: int) -> Path:
    """Generate responses in `shards` jobs, gather them, and return the output."""
    paths = [Path(f"results/{shards}/base/{shard}.jsonl") for shard in range(shards)]
    for shard, path in enumerate(paths):
        generate_responses.main(
            llm="closed-world-base",
            inputs=questions,
            shard=shard,
            shards=shards,
            seed=0,
            output=path,
        )
    output = Path(f"results/{shards}/base.jsonl")
    gather_responses.main(inputs=questions, shards=paths, output=output)
    return output


@pytest.mark.parametrize("stage", [pairs, responses])
def test_the_rows_are_the_same_for_any_number_of_shards(
    questions: Path, stage: Callable[[Path, int], Path]
) -> None:
    one, seven = stage(questions, 1), stage(questions, 7)
    assert one.read_bytes() == seven.read_bytes()
    for kind in (".dropped.jsonl", ".counts.json"):
        assert one.with_suffix(kind).read_bytes() == seven.with_suffix(kind).read_bytes()
    assert len(read_rows(one)) > 40
    usage = [read_json(path.with_suffix(".usage.json")) for path in (one, seven)]
    same = ("completions", "failed", "tokens_in", "tokens_out", "attempts")
    assert [usage[0][key] for key in same] == [usage[1][key] for key in same]
    assert usage[0]["completions"] == 60
