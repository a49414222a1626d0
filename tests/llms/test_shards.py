"""Shards: the rows of each job, and outputs that do not depend on the number of shards."""

import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gather_pairs
import gather_responses
import generate_pairs
import generate_responses
import pytest

from aligners.core.counts import write_filtered
from aligners.core.errors import UserError
from aligners.core.rows import Row, read_json, read_rows, row_id, write_json, write_rows
from aligners.llms.shards import shard_rows
from aligners.llms.usage import Usage

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
            questions=[questions],
            shard=shard,
            shards=shards,
            seed=0,
            output=path,
        )
    output = Path(f"results/{shards}/pairs.jsonl")
    gather_pairs.main(questions=[questions], shards=paths, output=output)
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


# Shards that do not fit the questions


def responses_to(count: int) -> list[Row]:
    """Return responses to `count` questions."""
    texts = [f"Is it {number}?" for number in range(count)]
    return [{"id": row_id(text), "question": text, "response": "Yes."} for text in texts]


RESPONSES = responses_to(12)


def write_shards(directory: Path, shards: int, responses: list[Row] | None = None) -> list[Path]:
    """Write the questions and the shards of their responses; the first response is dropped."""
    responses = responses or RESPONSES
    write_rows(directory / "inputs.jsonl", responses)
    paths = [directory / f"{shard}.jsonl" for shard in range(shards)]
    for shard, path in enumerate(paths):
        rows = ((row, None if row != responses[0] else "timeout") for row in responses)
        part = [item for item in rows if int(item[0]["id"], 16) % shards == shard]
        write_filtered(part, path, may_be_empty=True)
        write_json(path.with_suffix(".usage.json"), Usage().summary())
    return paths


def gather(directory: Path, paths: list[Path]) -> dict[str, Any]:
    """Gather the shards and return the counts."""
    gather_responses.main(
        inputs=directory / "inputs.jsonl", shards=paths, output=directory / "gathered.jsonl"
    )
    return read_json(directory / "gathered.counts.json")


@pytest.mark.parametrize("shards", [1, 3, 40])
def test_the_counts_of_gathered_shards_are_those_of_the_questions(
    tmp_path: Path, shards: int
) -> None:
    paths = write_shards(tmp_path, shards)
    assert gather(tmp_path, paths) == {"in": 12, "out": 11, "dropped": {"timeout": 1}}
    assert [row["id"] for row in read_rows(tmp_path / "gathered.jsonl")] == [
        row["id"] for row in RESPONSES[1:]
    ]


def without_last(rows: list[Row]) -> list[Row]:
    return rows[:-1]


def without_first(rows: list[Row]) -> list[Row]:
    return rows[1:]


def of_other_questions(rows: list[Row]) -> list[Row]:
    return [{**row, "id": row_id(row["id"])} for row in rows]


def of_another_text(rows: list[Row]) -> list[Row]:
    return [{**row, "question": "Is it other?"} for row in rows]


def with_one_more(rows: list[Row]) -> list[Row]:
    return [*rows, {**rows[0], "id": "5"}]


@pytest.mark.parametrize(
    "change",
    [
        *[without_last, without_first, of_other_questions, of_another_text, with_one_more],
        lambda rows: [],
        lambda rows: rows[::-1],
    ],
)
@pytest.mark.parametrize("shards", [1, 3])
def test_a_shard_that_does_not_fit_the_questions_is_an_error(
    tmp_path: Path, shards: int, change: Callable[[list[Row]], list[Row]]
) -> None:
    paths = write_shards(tmp_path, shards)
    rows = read_rows(paths[-1])
    changed = change(rows)
    write_rows(paths[-1], changed)
    of_shard = [row for row in RESPONSES[1:] if int(row["id"], 16) % shards == shards - 1]
    missing = [row["id"] for row in of_shard if row not in changed[: len(of_shard)]]
    first = missing[0] if missing else "5" if len(changed) > len(rows) else rows[0]["id"]
    with pytest.raises(UserError, match=rf"/{shards - 1}\.jsonl.*\b{first}\b.*delete"):
        gather(tmp_path, paths)
    assert not (tmp_path / "gathered.jsonl").exists()


def test_a_dropped_row_that_is_missing_is_an_error(tmp_path: Path) -> None:
    [path] = write_shards(tmp_path, 1)
    write_rows(path.with_suffix(".dropped.jsonl"), [])
    with pytest.raises(UserError, match=rf"0\.jsonl.*{RESPONSES[0]['id']}"):
        gather(tmp_path, [path])


def test_gathering_without_a_response_stops_with_the_counts_by_reason(tmp_path: Path) -> None:
    [path] = write_shards(tmp_path, 1)
    write_filtered([(row, "timeout") for row in RESPONSES], path, may_be_empty=True)
    with pytest.raises(UserError, match=r"gathered\.jsonl.*12 timeout"):
        gather(tmp_path, [path])


def test_an_id_that_is_not_a_number_is_an_error() -> None:
    with pytest.raises(UserError, match=r"'my question'"):
        shard_rows([{"id": "my question"}], 0, 2)


def test_more_shards_than_open_files_are_gathered(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    paths = write_shards(tmp_path, 200, responses_to(1000))
    resource.setrlimit(resource.RLIMIT_NOFILE, (128, hard))
    try:
        assert gather(tmp_path, paths)["in"] == 1000
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
