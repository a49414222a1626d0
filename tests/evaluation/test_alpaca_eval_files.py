"""AlpacaEval files: both files of a comparison have the same rows in the same order."""

from pathlib import Path
from typing import Any

import pytest
import write_alpaca_eval

from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, row_id, write_rows
from aligners.evaluation.alpaca_eval_files import alpaca_eval_rows, sample_inputs

INPUTS = [{"id": row_id(f"{n}?"), "question": f"“What” is {n} – 你好?"} for n in range(40)]


@pytest.mark.parametrize(("count", "size"), [(800, 40), (40, 40), (12, 12)])
def test_a_sample_keeps_the_order_and_depends_only_on_ids(count: int, size: int) -> None:
    chosen = sample_inputs(INPUTS, count, seed=0)
    assert len(chosen) == size
    assert chosen == [row for row in INPUTS if row in chosen]
    assert {row["id"] for row in sample_inputs(INPUTS[::-1], count, seed=0)} == {
        row["id"] for row in chosen
    }


def test_a_sample_depends_on_the_seed() -> None:
    assert sample_inputs(INPUTS, 12, seed=0) != sample_inputs(INPUTS, 12, seed=1)


def test_a_row_has_the_fields_of_alpaca_eval() -> None:
    [row] = alpaca_eval_rows(INPUTS[:1], {INPUTS[0]["id"]: ""}, "model", "mine")
    assert row == {
        "instruction": INPUTS[0]["question"],
        "output": "",
        "generator": "model",
        "dataset": "mine",
        "datasplit": "test",
    }


def test_a_question_without_an_answer_is_an_error() -> None:
    with pytest.raises(KeyError):
        alpaca_eval_rows(INPUTS[:2], {INPUTS[0]["id"]: "a"}, "model", "mine")


def compare(directory: Path, system: str, reference: str) -> list[list[dict[str, Any]]]:
    """Write the two files of a comparison and return their content."""
    paths = [directory / f"{system}-{reference}-{side}.json" for side in ("model", "reference")]
    write_alpaca_eval.main(
        dataset="mine",
        inputs=directory / "inputs.jsonl",
        system=system,
        aligned=directory / f"{system}.jsonl",
        reference=reference,
        reference_answers=directory / f"{reference}.jsonl",
        reference_field="response",
        failed=[directory / "base.dropped.jsonl"],
        rows=15,
        seed=0,
        model_outputs=paths[0],
        reference_outputs=paths[1],
    )
    return [read_json(path) for path in paths]


def write_answers(directory: Path) -> None:
    """Write the inputs, and the files of two LLMs and a squad. Each has another order."""
    write_rows(directory / "inputs.jsonl", INPUTS)
    write_rows(directory / "base.dropped.jsonl", [])
    for name, answers in {
        "base": INPUTS,
        "tuned": INPUTS[::-1],
        "squad": INPUTS[7:] + INPUTS[:7],
    }.items():
        aligned = {"aligned_response": "squad"} if name == "squad" else {}
        write_rows(
            directory / f"{name}.jsonl",
            [{**row, "response": f"{name} {row['id']}", **aligned} for row in answers],
        )


def test_all_comparisons_have_the_same_instructions_in_the_same_order(tmp_path: Path) -> None:
    write_answers(tmp_path)
    files = [*compare(tmp_path, "squad", "base"), *compare(tmp_path, "squad", "tuned")]
    instructions = [[row["instruction"] for row in file] for file in files]
    assert all(listed == instructions[0] for listed in instructions)
    assert len(set(instructions[0])) == 15
    assert {row["output"] for row in files[0]} == {"squad"}
    ids = {row["question"]: row["id"] for row in INPUTS}
    for row in files[3]:
        assert row["output"] == f"tuned {ids[row['instruction']]}"
        assert row["generator"] == "tuned"


def test_a_question_to_which_an_llm_failed_to_respond_is_in_neither_file(tmp_path: Path) -> None:
    write_answers(tmp_path)
    failed = [row["id"] for row in INPUTS[::3]]
    write_rows(
        tmp_path / "base.dropped.jsonl", [{"id": key, "reason": "timeout"} for key in failed]
    )
    for name in ("base", "squad"):
        rows = read_rows(tmp_path / f"{name}.jsonl")
        write_rows(tmp_path / f"{name}.jsonl", [row for row in rows if row["id"] not in failed])
    ours, theirs = compare(tmp_path, "squad", "base")
    assert 0 < len(ours) == len(theirs) < 15
    ids = {row["question"]: row["id"] for row in INPUTS}
    assert not {ids[row["instruction"]] for row in ours} & set(failed)


@pytest.mark.parametrize("name", ["squad", "base"])
@pytest.mark.parametrize("left", [0, 3], ids=["empty", "short"])
def test_a_file_that_lacks_a_question_is_an_error(tmp_path: Path, name: str, left: int) -> None:
    write_answers(tmp_path)
    path = tmp_path / f"{name}.jsonl"
    rows = read_rows(path)
    write_rows(path, rows[:left])
    with pytest.raises(UserError, match=rf"{name}\.jsonl") as error:
        compare(tmp_path, "squad", "base")
    [missing] = [row["id"] for row in rows if row["id"] in str(error.value)]
    assert missing not in {row["id"] for row in rows[:left]}
    assert list(tmp_path.glob("*.json")) == []


def test_a_squads_row_without_a_correction_does_not_count_as_unchanged(tmp_path: Path) -> None:
    write_answers(tmp_path)
    rows = read_rows(tmp_path / "squad.jsonl")
    del rows[2]["aligned_response"]
    write_rows(tmp_path / "squad.jsonl", rows)
    with pytest.raises(UserError, match=r"squad\.jsonl, line 3.*'aligned_response'"):
        compare(tmp_path, "squad", "base")


def test_without_any_question_the_program_stops(tmp_path: Path) -> None:
    write_answers(tmp_path)
    write_rows(
        tmp_path / "base.dropped.jsonl", [{"id": row["id"], "reason": "refused"} for row in INPUTS]
    )
    write_rows(tmp_path / "squad.jsonl", [])
    with pytest.raises(UserError, match=r"model\.json.*\b15 questions"):
        compare(tmp_path, "squad", "base")
    assert list(tmp_path.glob("*.json")) == []
