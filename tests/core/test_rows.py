"""Rows: stable ids, atomic writing, checks when reading, order and counts."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from turns import make_turn

from aligners.core.counts import Counts, write_filtered
from aligners.core.errors import UserError
from aligners.core.rows import (
    RowFile,
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


INVALID_LINES = {
    "cut in half": b'{"id": "2", "ques',
    "array": b"[1, 2]",
    "text": b'"text"',
    "number": b"1",
    "too many brackets": b"{}}",
    "half of a surrogate pair": b'{"id": "\\ud83d"}',
    "half of a surrogate pair in a name": b'{"\\udc00": "2"}',
    "NaN": b'{"id": NaN}',
    "not UTF-8": b'{"id": "\xff"}',
    "NUL byte": b'{"id": "a\x00b"}',
    "NUL bytes only": b"\x00\x00",
    "thousands of digits": b'{"id": ' + b"1" * 5000 + b"}",
    "thousands of brackets": b'{"id": ' + b"[" * 100_000,
    "byte order mark in the middle": b'\xef\xbb\xbf{"id": "2"}',
}


@pytest.mark.parametrize("line", INVALID_LINES.values(), ids=INVALID_LINES)
def test_the_error_for_an_invalid_row_has_the_file_and_the_line(
    tmp_path: Path, line: bytes
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"id": "1", "question": "\\u00e9"}\n\n' + line + b"\n")
    with pytest.raises(UserError, match=r"rows\.jsonl, line 3\b"):
        read_rows(path)


# The fields that a program needs

TURN = make_turn("a", {"a": 0.5}, {"a": 0.75})
INVALID_FIELDS = {
    "missing text": ({}, "response"),
    "null instead of a text": ({"response": None}, "response"),
    "number instead of a text": ({"response": 5}, "response"),
    "truth value instead of a text": ({"response": True}, "response"),
    "list instead of a text": ({"response": ["a"]}, "response"),
    "object instead of a text": ({"response": {}}, "response"),
    "empty id": ({"id": ""}, "id"),
    "number as an id": ({"id": 5}, "id"),
    "truth value as a label": ({"label": True}, "label"),
    "label 2": ({"label": 2}, "label"),
    "label as a text": ({"label": "1"}, "label"),
    "side that does not exist": ({"split": "dev"}, "split"),
    "side in capitals": ({"split": "Test"}, "split"),
    "similarity above 1": ({"similarity": 1.5}, "similarity"),
    "infinite similarity": ({"similarity": 1e999}, "similarity"),
    "similarity as a text": ({"similarity": "0.5"}, "similarity"),
    "missing category": ({}, "category"),
    "number as a category": ({"category": 3}, "category"),
    "preference above 1": ({"first_order": 2}, "first_order"),
    "object instead of a trace": ({"trace": {}}, "trace"),
    "text in a trace": ({"trace": ["a"]}, "trace"),
    "turn without a decision": ({"trace": [{**TURN, "accepted": None}]}, "trace"),
    "turn without a score before": ({"trace": [{**TURN, "before": None}]}, "trace"),
    "turn without margins after": ({"trace": [{**TURN, "margins_after": None}]}, "trace"),
    "turn without a score of its criterion": ({"trace": [{**TURN, "before": {}}]}, "trace"),
    "score as a text": ({"trace": [{**TURN, "after": {"a": "0.5"}}]}, "trace"),
    "infinite margin": ({"trace": [{**TURN, "margins_after": {"a": 1e999}}]}, "trace"),
    "unknown reason": ({"trace": [{**TURN, "reason": "tired", "accepted": False}]}, "trace"),
    "reason of another decision": ({"trace": [{**TURN, "reason": "loops"}]}, "trace"),
    "accepted without scores": (
        {"trace": [{**TURN, "after": None, "margins_after": None}]},
        "trace",
    ),
    "lowered criterion without scores": (
        {"trace": [{**TURN, "reason": "lowers_another", "accepted": False, "lowered": "b"}]},
        "trace",
    ),
    "lowered criterion of another reason": ({"trace": [{**TURN, "lowered": "a"}]}, "trace"),
    "score above 1": ({"scores": {"a": 1.5}}, "scores"),
    "list of scores": ({"scores": [0.5]}, "scores"),
}


@pytest.mark.parametrize(("fields", "field"), INVALID_FIELDS.values(), ids=INVALID_FIELDS)
def test_the_error_for_an_invalid_field_has_the_file_the_line_and_the_field(
    tmp_path: Path, fields: dict[str, Any], field: str
) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("\n" + json.dumps({"id": "1", **fields}).replace("Infinity", "1e999") + "\n")
    assert len(read_rows(path)) == 1
    with pytest.raises(UserError, match=rf"rows\.jsonl, line 2.*'{field}[.\d]*") as error:
        read_rows(path, needs=("id", field))
    assert "\n" not in str(error.value)


def test_valid_fields_are_returned_unchanged_and_others_are_not_checked(tmp_path: Path) -> None:
    row = {
        "id": "1", "question": "", "category": None, "category_id": "3", "split": "test",
        "similarity": -1, "label": 0, "identity": False, "trace": [TURN], "first_order": None,
        "scores": {"a": 0.5, "b": None}, "other": [None],
    }  # fmt: skip
    write_rows(tmp_path / "rows.jsonl", [row])
    needs = [name for name in row if name != "other"]
    assert read_rows(tmp_path / "rows.jsonl", needs) == [row]
    assert list(read_rows(tmp_path / "rows.jsonl", needs)[0]) == list(row)


def test_an_id_occurs_once(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    write_rows(path, [{"id": "a"}, {"id": "b"}, {"id": "a", "question": "Why?"}])
    with pytest.raises(UserError, match=r"rows\.jsonl, line 3.*'a'"):
        read_rows(path, needs=("id",))
    assert len(read_rows(path)) == len(read_rows(path, ("id",), repeated_ids=True)) == 3


def test_rows_are_read_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes('\ufeff{"id": "é"}\n\n{"id": "2"}\n{"id": "3"}'.encode())
    with RowFile(path, ("id",)) as rows:
        places = list(rows.places())
        assert [row["id"] for _, row in places] == ["é", "2", "3"]
        assert [rows[place] for place, _ in reversed(places)] == [row for _, row in places][::-1]


# JSON files


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b'{"in": 5, "out": 3', r"line 1"),
        (b'{"in": 5, "out": 3}', r"'dropped'"),
        (b'{"in": 5, "out": 3, "dropped": ["a"]}', r"'dropped'.*\['a'\]"),
        (b'{"in": "5", "out": 3, "dropped": {}}', r"'in'.*'5'"),
        (b'{"in": 5, "out": null, "dropped": {}}', r"'out'.*None"),
        (b'{"in": 5, "out": 3, "dropped": {"a": -1}}', r"'dropped\.a'.*-1"),
        (b'{"in": true, "out": 3, "dropped": {}}', r"'in'.*True"),
        (b'[{"in": 5, "out": 3, "dropped": {}}]', r"\[\{'in': 5"),
        (b"null", r"None"),
        (b'{"in": 5, "out": 3, "dropped": {"\\ud83d": 1}}', r"not JSON"),
        (b'{"in": 5, "out": 3, "dropped": {"\xff": 1}}', r"line 1.*UTF-8"),
        (b"[" * 100_000, r"not JSON"),
        (b"", r"line 1"),
    ],
)
def test_a_json_file_of_another_shape_gets_one_message(
    tmp_path: Path, content: bytes, part: str
) -> None:
    path = tmp_path / "rows.counts.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"rows\.counts\.json.*{part}"):
        read_json(path, Counts)


def test_a_json_file_of_the_right_shape_is_returned_unchanged(tmp_path: Path) -> None:
    content = {"out": 3, "in": 5, "dropped": {"a": 2}, "more": None}
    write_json(tmp_path / "rows.counts.json", content)
    assert read_json(tmp_path / "rows.counts.json", Counts) == content


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


def dead_process() -> int:
    """Return the id of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def test_what_a_killed_process_left_is_removed_by_the_next_writer(tmp_path: Path) -> None:
    path, host = tmp_path / "model", socket.gethostname()
    dead = dead_process()
    (tmp_path / f".model.{host}.{dead}.partial").mkdir()
    (tmp_path / f".model.{host}.{dead}.partial" / "weights").write_text("half")
    # Of another file, of a living process, and of another machine, which may share the directory.
    others = [f".other.{host}.{dead}.partial", f".model.{host}.{os.getppid()}.partial"]
    others += [f".model.elsewhere.{dead}.partial", f".model.{host}.mine.partial"]
    for name in others:
        (tmp_path / name).write_text("half")
    with atomic_path(path) as partial:
        partial.write_text("whole")
    assert {file.name for file in tmp_path.iterdir()} == {"model", *others}


@pytest.mark.parametrize("name", ["a*b.jsonl", "a[1].jsonl"])
def test_a_killed_writer_leaves_nothing_after_the_next(tmp_path: Path, name: str) -> None:
    program = (
        "import os, signal, sys; from pathlib import Path; from aligners.core.rows import *\n"
        "with atomic_path(Path(sys.argv[1])) as partial:\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path / name], timeout=300, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    write_rows(tmp_path / name, [])
    assert [file.name for file in tmp_path.iterdir()] == [name]


# Order, counts


def test_the_order_depends_only_on_id_and_seed() -> None:
    rows = [{"id": str(number)} for number in range(20)]
    first = sorted(rows, key=lambda row: seeded_order(row, 0))
    assert first != rows
    assert sorted(rows[::-1], key=lambda row: seeded_order(row, 0)) == first
    assert sorted(rows, key=lambda row: seeded_order(row, 1)) != first


def test_counts_add_up_and_dropped_rows_are_written_with_their_reason(tmp_path: Path) -> None:
    reasons = [None, "long", None, "empty", "long"]
    rows = (({"id": str(number)}, reason) for number, reason in enumerate(reasons))
    write_filtered(rows, tmp_path / "rows.jsonl", given=5)
    counts = json.loads((tmp_path / "rows.counts.json").read_text())
    assert counts == {"in": 5, "out": 2, "dropped": {"empty": 1, "long": 2}}
    assert [row["id"] for row in read_rows(tmp_path / "rows.jsonl")] == ["0", "2"]
    assert read_rows(tmp_path / "rows.dropped.jsonl") == [
        {"id": "1", "reason": "long"},
        {"id": "3", "reason": "empty"},
        {"id": "4", "reason": "long"},
    ]


def test_a_step_without_a_row_stops_with_the_counts_by_reason(tmp_path: Path) -> None:
    rows = [({"id": str(number)}, "long" if number else "empty") for number in range(3)]
    with pytest.raises(UserError, match=r"rows\.jsonl.*2 long, 1 empty"):
        write_filtered(rows, tmp_path / "rows.jsonl")
    with pytest.raises(UserError, match=r"rows\.jsonl"):
        write_filtered([], tmp_path / "rows.jsonl")
    assert list(tmp_path.iterdir()) == []
    write_filtered(rows, tmp_path / "rows.jsonl", may_be_empty=True)
    assert read_rows(tmp_path / "rows.jsonl") == []


def test_a_step_that_loses_a_row_stops(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rows\.jsonl.*\b3 rows.*\b2\b"):
        write_filtered([({"id": "1"}, None), ({"id": "2"}, "long")], tmp_path / "rows.jsonl", 3)
    assert list(tmp_path.iterdir()) == []
