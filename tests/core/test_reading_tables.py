"""Tables: records of all kinds of files, compressed and odd ones, and messages about damage."""

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest

from aligners.core.errors import UserError
from aligners.core.rows import Row
from aligners.core.tables import read_records, value_at

RECORDS = [
    {"question": "“Why”, he asks?\nTell me.", "answer": "So."},
    {"question": "É?", "answer": ""},
]


def content(suffix: str, path: Path) -> bytes:
    """Return the records in the format of an ending."""
    if suffix == ".parquet":
        pd.DataFrame(RECORDS).to_parquet(path)
        return path.read_bytes()
    if suffix == ".json":
        return json.dumps(RECORDS).encode()
    if suffix in (".jsonl", ".ndjson"):
        return "".join(json.dumps(row) + "\n" for row in RECORDS).encode()
    return pd.DataFrame(RECORDS).to_csv(index=False, sep="\t" if suffix == ".tsv" else ",").encode()


def zstandard(data: bytes) -> bytes:
    """Return data compressed with Zstandard."""
    sink = pyarrow.BufferOutputStream()
    with pyarrow.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".XZ": lzma.compress,
    ".bz2": bz2.compress,
    ".zst": zstandard,
}


def read(path: Path) -> list[Row]:
    """Return the records of a table."""
    return [record for _, record in read_records(path)]


def write(path: Path, text: str | bytes) -> Path:
    """Write a file and return its path."""
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"])
def test_a_table_has_the_same_records_in_every_format(
    tmp_path: Path, suffix: str, compression: str
) -> None:
    data = COMPRESSORS[compression](content(suffix, tmp_path / "plain"))
    assert read(write(tmp_path / f"table{suffix}{compression}", data)) == RECORDS


CSV = {
    "semicolons": (
        "question;answer\nWhy, then?;So, so.\n",
        [("question", "Why, then?"), ("answer", "So, so.")],
    ),
    "byte order mark": ("\ufeffquestion,answer\r\nA?,B\r\n", [("question", "A?"), ("answer", "B")]),
    "blanks after commas": (
        'question, answer\nA?, "B, c"\n',
        [("question", "A?"), ("answer", "B, c")],
    ),
    "equal names": ("text,text\nA?,B\n", [("text", "A?"), ("text.2", "B")]),
    "missing cells": (
        "question,answer,more\nA?\n",
        [("question", "A?"), ("answer", ""), ("more", "")],
    ),
    "empty cells beyond the header": ("question\nA?,,\n", [("question", "A?")]),
    "text that looks like numbers": (
        "question,answer\n1.0,007\n",
        [("question", "1.0"), ("answer", "007")],
    ),
    "a line break in a cell": ('question\n"A\nB"\n', [("question", "A\nB")]),
}


@pytest.mark.parametrize("name", CSV)
def test_odd_files_of_cells_are_read_as_they_are_meant(tmp_path: Path, name: str) -> None:
    text, expected = CSV[name]
    assert read(write(tmp_path / "table.csv", text)) == [dict(expected)]


def test_an_empty_line_of_cells_is_a_record(tmp_path: Path) -> None:
    path = write(tmp_path / "table.csv", "question,answer\n\nA?,B\n")
    assert read(path) == [{"question": "", "answer": ""}, {"question": "A?", "answer": "B"}]


def test_a_list_under_a_key_is_a_table(tmp_path: Path) -> None:
    path = write(tmp_path / "table.json", json.dumps({"version": 1, "data": RECORDS, "tags": []}))
    assert read(path) == RECORDS


GOOD_GZIP = gzip.compress(b'{"question": "A?"}\n' * 1000)
DAMAGED = {
    "an unknown ending": ("table.xlsx", "a", ["table.xlsx", ".xlsx", ".parquet"]),
    "too many cells": (
        "table.csv",
        "question,answer\nA?,B\nA, b?,C\n",
        ["line 3", "3 cells", "quotes"],
    ),
    "an open quote": ("table.csv", 'question\n"A?\n', ["line 2", "quotes"]),
    "no header": ("table.csv", "", ["header"]),
    "another encoding": ("table.csv", "question\nCafé?\n".encode("latin-1"), ["UTF-8"]),
    "half a line": ("table.jsonl", '{"question": "A?"}\n{"question": "B', ["line 2", "complete"]),
    "a lone surrogate": ("table.jsonl", '{"question": "\\ud83d"}\n', ["line 1", "surrogate"]),
    "a lone surrogate in a list": ("table.json", '[{"question": "\\ud83d"}]', ["surrogate"]),
    "not a number": ("table.jsonl", '{"question": NaN}\n', ["line 1", "NaN"]),
    "lines in a list": ("table.json", '{"a": 1}\n{"a": 2}\n', ["line 2", ".jsonl"]),
    "two lists": ("table.json", '{"a": [{"q": 1}], "b": [{"q": 2}]}', ["2 lists"]),
    "no list": ("table.json", '{"a": 1}', ["no list"]),
    "cut off": ("table.jsonl.gz", GOOD_GZIP[:-20], ["cut off", "again"]),
    "not compressed": ("table.jsonl.gz", '{"question": "A?"}\n', ["damaged"]),
    "no xz": ("table.jsonl.xz", '{"question": "A?"}\n', ["damaged"]),
    "no zst": ("table.jsonl.zst", '{"question": "A?"}\n', ["damaged"]),
    "no Parquet": ("table.parquet", "question\n", ["Parquet"]),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_table_is_one_message_with_its_place_and_a_remedy(
    tmp_path: Path, name: str
) -> None:
    file, data, parts = DAMAGED[name]
    path = write(tmp_path / file, data)
    with pytest.raises(UserError) as caught:
        read(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    for part in (*parts, ";"):
        assert part in message


def test_a_damaged_page_of_parquet_is_one_message(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame({"question": [f"Question {n}?" for n in range(5000)]}).to_parquet(path)
    data = bytearray(path.read_bytes())
    data[40:400] = bytes(360)
    with pytest.raises(UserError, match=r"table\.parquet.*Parquet.*again"):
        read(write(path, bytes(data)))


def test_values_of_parquet_that_cannot_be_read_are_one_message(tmp_path: Path) -> None:
    offsets, data = b"\0\0\0\0\1\0\0\0", b"\xff"  # of one text that is not UTF-8
    no_text = pyarrow.Array.from_buffers(
        pyarrow.string(), 1, [None, pyarrow.py_buffer(offsets), pyarrow.py_buffer(data)]
    )
    for column in (no_text, pyarrow.array([2**62], pyarrow.timestamp("us"))):
        path = tmp_path / "table.parquet"
        pyarrow.parquet.write_table(pyarrow.table({"question": column}), path)
        with pytest.raises(UserError, match=r"table\.parquet, after row 0.*; export"):
            read(path)


def test_equal_names_of_parquet_are_two_columns(tmp_path: Path) -> None:
    columns = [pyarrow.array(["A?"]), pyarrow.array(["B"])]
    path = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns, names=["text", "text"]), path)
    assert read(path) == [{"text": "A?", "text.2": "B"}]


def test_a_missing_file_is_one_message(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        read(tmp_path / "table.csv")


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("messages.0.content", "A?"),
        ("messages.-1.content", "B"),
        ("messages.2.content", None),
        ("messages.content", None),
        ("a.b", "dotted"),
        ("meta.source", "log"),
        ("meta.other.more", None),
    ],
)
def test_a_column_can_be_a_path_into_lists_and_objects(column: str, expected: str | None) -> None:
    record = {
        "messages": [{"content": "A?"}, {"content": "B"}],
        "a.b": "dotted",
        "meta": {"source": "log"},
    }
    assert value_at(record, column) == expected
