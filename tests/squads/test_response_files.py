"""Tables of responses: `aligners correct` reads any columns, and continues after a kill."""

import csv
import json
import re
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from aligners.cli.correct import correct_and_report, described
from aligners.configuration.kinds.inference import Inference
from aligners.core.errors import UserError
from aligners.core.rows import read_rows, write_rows
from aligners.squads import response_files
from aligners.squads.correction import Correction
from aligners.squads.response_files import Table, correct_table
from aligners.squads.squad import Squad

ROWS = [{"question": f"Question {number}?", "response": f"text {number}"} for number in range(10)]


class FakeSquad:
    """Corrects texts with an even number, and records the sizes of its batches.

    Attributes:
        fails_at: number of the batch that raises an error; None for none.
    """

    def __init__(self, fails_at: int | None = None):
        self.fails_at, self.sizes = fails_at, list[int]()

    def correct_all(self, questions: Sequence[str], responses: Sequence[str]) -> list[Correction]:
        if self.fails_at == len(self.sizes):
            raise KeyboardInterrupt
        self.sizes.append(len(questions))
        return [self.correct(text) for text in responses]

    def correct(self, text: str) -> Correction:
        if not text:
            return Correction("", "skipped", "empty_response", {"kind": None}, [])
        if int(text[-1]) % 2:
            return Correction(text, "unchanged", "above_threshold", {"kind": 0.9}, [])
        return Correction(f"good {text}", "corrected", "accepted", {"kind": 0.1}, [{"turn": 1}])


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that is that of a squad too; batches have four rows."""
    monkeypatch.setattr(response_files, "ROWS", 4)
    (tmp_path / "squad.json").write_text("{}")
    return tmp_path


def correct(place: Path, squad: Any, path: Path, output: str, *columns: str) -> Any:
    return correct_table(squad, place, Table(path, *columns), place / output)


def test_each_row_keeps_its_columns_and_gets_its_correction(place: Path) -> None:
    path = place / "answers.jsonl"
    write_rows(path, [{"nr": number, **row} for number, row in enumerate(ROWS)])
    squad = FakeSquad()
    summary = correct(place, squad, path, "out.jsonl")
    rows = read_rows(place / "out.jsonl")
    assert [row["nr"] for row in rows] == list(range(10))
    assert [row["aligned_response"] for row in rows] == [
        f"text {number}" if number % 2 else f"good text {number}" for number in range(10)
    ]
    assert rows[0]["reason"] == "accepted" and rows[0]["trace"] == [{"turn": 1}]
    assert squad.sizes == [4, 4, 2]
    assert described(summary).startswith("10 rows: 5 corrected, 5 unchanged, 0 skipped\n")
    assert sorted(file.name for file in place.iterdir()) == [
        "answers.jsonl",
        "out.jsonl",
        "squad.json",
    ]


def test_an_interrupted_run_continues_after_its_last_batch(place: Path) -> None:
    path = place / "answers.jsonl"
    write_rows(path, ROWS)
    with pytest.raises(KeyboardInterrupt):
        correct(place, FakeSquad(fails_at=1), path, "out.jsonl")
    assert not (place / "out.jsonl").exists()
    partial = place / "out.jsonl.partial"
    assert len(read_rows(partial)) == 4
    with partial.open("a") as file:  # a line that the kill cut off
        file.write('{"question": "Question 4?", "resp')
    again = FakeSquad()
    summary = correct(place, again, path, "out.jsonl")
    assert again.sizes == [4, 2]
    assert [row["question"] for row in read_rows(place / "out.jsonl")] == [
        row["question"] for row in ROWS
    ]
    assert sum(summary.counts.values()) == 10


@pytest.mark.parametrize("change", ["table", "middle of a large table", "squad", "columns"])
def test_unfinished_rows_of_something_else_are_not_mixed(place: Path, change: str) -> None:
    path = place / "answers.jsonl"
    rows = ROWS
    if change == "middle of a large table":
        rows = [{**row, "note": "x" * 2**18} for row in ROWS]
    write_rows(path, rows)
    with pytest.raises(KeyboardInterrupt):
        correct(place, FakeSquad(fails_at=1), path, "out.jsonl")
    columns = []
    if change == "table":
        write_rows(path, ROWS[1:])
    elif change == "middle of a large table":
        write_rows(path, [*rows[:5], {**rows[5], "response": "text 6"}, *rows[6:]])
    elif change == "squad":
        (place / "squad.json").write_text("[]")
    else:
        columns = ["response", "question"]
    with pytest.raises(UserError, match=r"out\.jsonl\.partial: unfinished rows of another"):
        correct(place, FakeSquad(), path, "out.jsonl", *columns)
    assert len(read_rows(place / "out.jsonl.partial")) == 4


def write_csv(path: Path, separator: str) -> None:
    with path.open("w", newline="") as file:
        writer = csv.writer(file, delimiter=separator)
        writer.writerows([["asked", "said"], *(row.values() for row in ROWS)])


@pytest.mark.parametrize(
    ("name", "columns", "write"),
    [
        ("a.csv", ("asked", "said"), lambda path: write_csv(path, ";")),
        ("a.tsv", ("asked", "said"), lambda path: write_csv(path, "\t")),
        (
            "a.parquet",
            (),
            lambda path: pd.DataFrame(ROWS).set_axis(["prompt", "answer"], axis=1).to_parquet(path),
        ),
        (
            "a.json",
            ("in.text", "out.0"),
            lambda path: path.write_text(
                json.dumps([{"in": {"text": r["question"]}, "out": [r["response"]]} for r in ROWS])
            ),
        ),
        (
            "a.jsonl",
            (),
            lambda path: write_rows(
                path,
                [
                    {
                        "messages": [
                            {"role": "user", "content": row["question"]},
                            {"role": "assistant", "content": row["response"]},
                        ]
                    }
                    for row in ROWS
                ],
            ),
        ),
    ],
)
def test_tables_with_other_columns_and_endings(
    place: Path, name: str, columns: tuple[str, ...], write: Any
) -> None:
    write(place / name)
    correct(place, FakeSquad(), place / name, "out.jsonl", *columns)
    assert [row["aligned_response"] for row in read_rows(place / "out.jsonl")][:3] == [
        "good text 0",
        "text 1",
        "good text 2",
    ]


def test_a_csv_has_scores_and_trace_as_json(place: Path) -> None:
    write_rows(place / "answers.jsonl", ROWS)
    correct(place, FakeSquad(), place / "answers.jsonl", "out.csv")
    with (place / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 10 and rows[0]["aligned_response"] == "good text 0"
    assert json.loads(rows[0]["scores"]) == {"kind": 0.1}
    assert not (place / "out.csv.partial").exists()


def test_a_row_without_texts_is_kept_and_told(place: Path) -> None:
    rows: list[dict[str, Any]] = [
        *ROWS[:2],
        {"question": "No response?", "response": ""},
        {"question": "A number?", "response": 5},
        *ROWS[2:4],
    ]
    write_rows(place / "answers.jsonl", rows)
    summary = correct(place, FakeSquad(), place / "answers.jsonl", "out.jsonl")
    made = read_rows(place / "out.jsonl")
    assert [row["question"] for row in made] == [row["question"] for row in rows]
    assert [row["reason"] for row in made[2:4]] == ["empty_response", "not_text"]
    assert [row["action"] for row in made[2:4]] == ["skipped"] * 2
    assert made[3]["response"] == 5
    assert "1 skipped: the question or the response is not a text" in described(summary)


def test_the_squad_decides_which_response_is_too_long(place: Path) -> None:
    response = "x" * 20_001 + " 1"  # no training data has so long a text
    write_rows(place / "answers.jsonl", [{"question": "Long?", "response": response}])
    correct(place, FakeSquad(), place / "answers.jsonl", "out.jsonl")
    [row] = read_rows(place / "out.jsonl")
    assert (row["reason"], row["aligned_response"]) == ("above_threshold", response)


def test_two_runs_do_not_write_one_output(place: Path) -> None:
    path = place / "answers.jsonl"
    write_rows(path, ROWS)

    class Slow(FakeSquad):
        """Starts a second run after the first batch of the first."""

        def correct_all(
            self, questions: Sequence[str], responses: Sequence[str]
        ) -> list[Correction]:
            if len(self.sizes) == 1:
                with pytest.raises(UserError, match=r"out\.jsonl\.partial: another process"):
                    correct(place, FakeSquad(), path, "out.jsonl")
            return super().correct_all(questions, responses)

    correct(place, Slow(), path, "out.jsonl")
    assert [row["question"] for row in read_rows(place / "out.jsonl")] == [
        row["question"] for row in ROWS
    ]


def test_numbers_that_json_does_not_have_become_null(place: Path) -> None:
    table = pd.DataFrame({**pd.DataFrame(ROWS[:2]), "cost": [0.5, float("nan")]})
    table.to_parquet(place / "a.parquet")
    correct(place, FakeSquad(), place / "a.parquet", "out.jsonl")
    assert [row["cost"] for row in read_rows(place / "out.jsonl")] == [0.5, None]


def test_a_table_without_rows_is_one_message(place: Path) -> None:
    (place / "a.csv").write_text("question,response\n")
    with pytest.raises(UserError, match=r"a\.csv: no rows"):
        correct(place, FakeSquad(), place / "a.csv", "out.jsonl")


@pytest.mark.parametrize("stage", ["download", "correct"])
def test_an_interrupted_command_says_how_to_continue(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stage: str
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    write_rows(place / "answers.jsonl", ROWS)
    monkeypatch.setattr(Squad, "load", lambda *_, **__: nullcontext(FakeSquad(fails_at=1)))
    if stage == "download":
        monkeypatch.setattr("aligners.cli.correct.find_squad", interrupt)
    with pytest.raises(SystemExit) as ended:
        correct_and_report(Table(place / "answers.jsonl"), str(place), place / "out.jsonl", None)
    assert ended.value.code == 130
    assert "the same command continues" in capsys.readouterr().err


def test_the_command_checks_table_and_output_before_it_loads_the_squad(place: Path) -> None:
    write_rows(place / "answers.jsonl", ROWS)
    output = place / "missing" / "out.jsonl"
    with pytest.raises(UserError, match="missing: no such directory"):
        correct_and_report(Table(place / "answers.jsonl"), "no/such/squad", output, None)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("/proc/out.jsonl", "No such file or directory"),
        (f"{'x' * 300}.jsonl", "File name too long"),
        # Its own name is not too long, but that of the record of unfinished rows is.
        (f"{'x' * 235}.jsonl", "File name too long"),
    ],
)
def test_an_output_that_cannot_be_written_is_named_before_the_squad_is_loaded(
    place: Path, output: str, message: str
) -> None:
    write_rows(place / "answers.jsonl", ROWS)
    path = place / output
    with pytest.raises(UserError, match=f"{path}: cannot be written .{message}"):
        correct_and_report(Table(place / "answers.jsonl"), "no/such/squad", path, None)


def test_an_output_that_no_file_can_have_is_named(place: Path) -> None:
    write_rows(place / "answers.jsonl", ROWS)
    with pytest.raises(UserError, match="no name of a file"):
        correct(place, FakeSquad(), place / "answers.jsonl", "zero\0.jsonl")


def test_unfinished_rows_that_cannot_be_written_are_named(place: Path) -> None:
    write_rows(place / "answers.jsonl", ROWS)
    (place / "out.jsonl.partial").mkdir()
    with pytest.raises(UserError, match=r"out\.jsonl\.partial: cannot be written .Is a directory"):
        correct(place, FakeSquad(), place / "answers.jsonl", "out.jsonl")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ((), "name them with --question and --response. Its columns: a, b"),
        (("a",), "give both --question and --response"),
        (("a", "c"), "no column 'c'. Its columns: a, b"),
    ],
)
def test_unknown_columns_are_one_message(
    place: Path, columns: tuple[str, ...], message: str
) -> None:
    write_rows(place / "x.jsonl", [{"a": "Question?", "b": "text 1"}])
    with pytest.raises(UserError, match=re.escape(message)):
        correct(place, FakeSquad(), place / "x.jsonl", "out.jsonl", *columns)


def test_no_file_is_replaced(place: Path) -> None:
    write_rows(place / "answers.jsonl", ROWS)
    with pytest.raises(UserError, match=r"answers\.jsonl: the file exists"):
        correct(place, FakeSquad(), place / "answers.jsonl", "answers.jsonl")
    with pytest.raises(UserError, match=r"out\.txt: give a file that ends in"):
        correct(place, FakeSquad(), place / "answers.jsonl", "out.txt")
    write_rows(place / "answers2.jsonl", [{**ROWS[0], "trace": "x"}])
    with pytest.raises(UserError, match="the column 'trace' would be replaced"):
        correct(place, FakeSquad(), place / "answers2.jsonl", "out.jsonl")


@pytest.mark.parametrize(
    ("name", "columns"),
    [("prompt", ()), ("asked", ("asked", "response")), ("messages", ())],
)
def test_a_response_that_is_not_corrected_keeps_its_blanks(
    place: Path, name: str, columns: tuple[str, ...]
) -> None:
    text = "  text 1\n\n"
    chat = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": text}]
    row = {name: chat} if name == "messages" else {name: "Why?", "response": text}
    write_rows(place / "answers.jsonl", [row])
    correct(place, FakeSquad(), place / "answers.jsonl", "out.jsonl", *columns)
    assert read_rows(place / "out.jsonl")[0]["aligned_response"] == text


def test_a_run_does_not_continue_on_another_engine(place: Path) -> None:
    write_rows(place / "answers.jsonl", ROWS)
    with pytest.raises(KeyboardInterrupt):
        correct(place, FakeSquad(fails_at=1), place / "answers.jsonl", "out.jsonl")
    other = Inference.model_validate({"engine": "openai", "endpoint": "http://127.0.0.1:9/v1"})
    squad: Any = FakeSquad()
    with pytest.raises(UserError, match="unfinished rows of another"):
        correct_table(squad, place, Table(place / "answers.jsonl"), place / "out.jsonl", other)
