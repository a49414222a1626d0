"""Rows: stable ids, atomic writing, checks when reading, order and counts."""

import json
from pathlib import Path

import pytest

from aligners.core.counts import Sieve, write_sieve
from aligners.core.errors import UserError
from aligners.core.rows import (
    atomic_path,
    read_json,
    read_rows,
    row_id,
    seeded_order,
    write_json,
    write_rows,
)

# Texts with characters at which other readers split lines, or which they change.
UNUSUAL = [
    "two\nlines",
    "line\u2028separator",
    "next\x85line",
    "tab\t",
    "“quotes” – 你好 🙂",
    "\ufeff",
    "",
]


def test_ids_do_not_change() -> None:
    """Existing files contain these ids."""
    assert row_id("What is a security code?") == "2b6930039fb837cf"
    assert len({row_id("a", "b"), row_id("ab"), row_id("a b")}) == 3
    assert row_id("caf\u00e9") == row_id("cafe\u0301")


@pytest.mark.parametrize("text", UNUSUAL)
def test_rows_are_the_same_after_writing_and_reading(tmp_path: Path, text: str) -> None:
    rows = [{"id": "1", "question": text, "n": 1.5, "none": None}, {"id": "2", "question": ""}]
    write_rows(tmp_path / "rows.jsonl", rows)
    assert read_rows(tmp_path / "rows.jsonl") == rows
    assert (tmp_path / "rows.jsonl").read_bytes().count(b"\n") == 2
    write_json(tmp_path / "value.json", rows)
    assert read_json(tmp_path / "value.json") == rows


def test_files_have_readable_utf8_text(tmp_path: Path) -> None:
    write_rows(tmp_path / "rows.jsonl", [{"question": "“Wie spät?”"}])
    assert "“Wie spät?”" in (tmp_path / "rows.jsonl").read_text(encoding="utf-8")


def test_a_byte_order_mark_and_empty_lines_are_ignored(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id": "1"}\r\n\n  \n{"id": "2"}')
    assert read_rows(path) == [{"id": "1"}, {"id": "2"}]


@pytest.mark.parametrize(
    "line", ['{"id": "2", "ques', "[1, 2]", '"text"', "1", "{}}", '{"id": "\\ud83d"}']
)
def test_the_error_for_an_invalid_row_has_the_file_and_the_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": "1", "question": "\\u00e9"}\n\n' + line + "\n")
    with pytest.raises(UserError, match=r"rows\.jsonl, line 3\b"):
        read_rows(path)


# Atomic writing


def test_after_an_error_only_the_old_file_exists(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file.txt"
    with atomic_path(path) as partial:
        partial.write_text("old")
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.write_text("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(path.parent.iterdir()) == [path]


def test_the_file_does_not_exist_before_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    with atomic_path(path) as partial:
        partial.write_text("half")
        assert not path.exists()
        assert partial.parent == path.parent and partial.name.startswith(".")
    assert path.read_text() == "half"


def test_a_directory_is_replaced_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "model"
    for name in ("old", "new"):
        with atomic_path(path) as partial:
            partial.mkdir()
            (partial / name).write_text(name)
    assert [file.name for file in path.iterdir()] == ["new"]
    with pytest.raises(RuntimeError), atomic_path(path) as partial:
        partial.mkdir()
        raise RuntimeError
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


# Order, counts


def test_the_order_depends_only_on_id_and_seed() -> None:
    rows = [{"id": str(number)} for number in range(20)]
    first = sorted(rows, key=lambda row: seeded_order(row, 0))
    assert first != rows
    assert sorted(rows[::-1], key=lambda row: seeded_order(row, 0)) == first
    assert sorted(rows, key=lambda row: seeded_order(row, 1)) != first


def test_counts_add_up_and_dropped_rows_are_written_with_their_reason(tmp_path: Path) -> None:
    sieve = Sieve()
    for number, reason in enumerate([None, "long", None, "empty", "long"]):
        sieve.put({"id": str(number)}, reason)
    write_sieve(sieve, tmp_path / "rows.jsonl")
    counts = json.loads((tmp_path / "rows.counts.json").read_text())
    assert counts == {"in": 5, "out": 2, "dropped": {"empty": 1, "long": 2}}
    assert [row["id"] for row in read_rows(tmp_path / "rows.jsonl")] == ["0", "2"]
    assert read_rows(tmp_path / "rows.dropped.jsonl") == [
        {"id": "1", "reason": "long"},
        {"id": "3", "reason": "empty"},
        {"id": "4", "reason": "long"},
    ]
