"""AlpacaEval files: both files of a comparison have the same rows in the same order."""

from pathlib import Path
from typing import Any

import pytest
import write_alpaca_eval

from aligners.core.rows import read_json, row_id, write_rows
from aligners.evaluation.alpaca_eval_files import alpaca_eval_rows, final_answers, sample_inputs

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


def test_the_final_answer_is_the_correction_even_if_it_is_empty() -> None:
    rows = [
        {"id": "1", "response": "a"},
        {"id": "2", "response": "b", "aligned_response": "c"},
        {"id": "3", "response": "d", "aligned_response": ""},
        {"id": "4", "response": ""},
    ]
    assert final_answers(rows) == {"1": "a", "2": "c", "3": "", "4": ""}


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
        rows=15,
        seed=0,
        model_outputs=paths[0],
        reference_outputs=paths[1],
    )
    return [read_json(path) for path in paths]


def test_all_comparisons_have_the_same_instructions_in_the_same_order(tmp_path: Path) -> None:
    write_rows(tmp_path / "inputs.jsonl", INPUTS)
    # Each file with answers has another order.
    for name, answers in {
        "base": INPUTS,
        "tuned": INPUTS[::-1],
        "squad": INPUTS[7:] + INPUTS[:7],
    }.items():
        aligned = {"aligned_response": "squad"} if name == "squad" else {}
        write_rows(
            tmp_path / f"{name}.jsonl",
            [{**row, "response": f"{name} {row['id']}", **aligned} for row in answers],
        )
    files = [*compare(tmp_path, "squad", "base"), *compare(tmp_path, "squad", "tuned")]
    instructions = [[row["instruction"] for row in file] for file in files]
    assert all(listed == instructions[0] for listed in instructions)
    assert len(set(instructions[0])) == 15
    assert {row["output"] for row in files[0]} == {"squad"}
    ids = {row["question"]: row["id"] for row in INPUTS}
    for row in files[3]:
        assert row["output"] == f"tuned {ids[row['instruction']]}"
        assert row["generator"] == "tuned"
