"""Test questions: from tables in several formats, from the Hub, and held-out questions."""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import import_inputs
import numpy as np
import pandas as pd
import pytest
import sample_inputs
from hub_server import COMMIT, TOKEN, Hub, Repository, serve_hub
from projects import environment
from recipes import make_recipe
from yaml_edits import set_keys

from aligners.configuration.kinds.datasets import Columns, FileDatasetRecipe
from aligners.configuration.kinds.synthesis import Language
from aligners.configuration.languages import ENGLISH
from aligners.core.counts import separate
from aligners.core.errors import UserError
from aligners.core.rows import Row, read_json, read_rows, row_id, write_rows
from aligners.evaluation.test_inputs import (
    drop_training_questions,
    import_dataset,
    read_questions,
    sample_held_out,
)

LANGUAGE = Language()
LANGUAGES = dict.fromkeys(("ethical", "factuality", "helpful"), ENGLISH)
COLUMNS = {"question": "prompt", "category": "category", "category_id": "category_id"}
RECORDS = [
    {"prompt": "Is it right, or wrong?", "category": "law", "category_id": 3},
    {"prompt": "“Why” is he 5'10\"?\nTell me.", "category": "NA", "category_id": 0},
    {"prompt": "null", "category": None, "category_id": None},
]
EXPECTED = [
    {
        "id": row_id(record["prompt"]),
        "question": record["prompt"],
        "dataset": "mine",
        "category": record["category"],
        "category_id": None if record["category_id"] is None else str(record["category_id"]),
    }
    for record in RECORDS
]


def write_table(path: Path) -> None:
    """Write the records to a file in the format of its extension."""
    table = pd.DataFrame(RECORDS, dtype=object)
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".jsonl":
        write_rows(path, RECORDS)
    elif path.suffix == ".json":
        path.write_text(json.dumps(RECORDS, indent=1))
    else:
        table.astype({"category_id": "Int64"}).to_parquet(path)


def table_recipe(path: Path, **keys: Any) -> FileDatasetRecipe:
    """Return the recipe of a local table."""
    return make_recipe(FileDatasetRecipe, source="file", path=str(path), columns=COLUMNS, **keys)


@pytest.mark.parametrize("name", ["table.csv", "table.json", "table.jsonl", "table.parquet"])
def test_tables_in_all_formats_have_the_same_rows(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_table(path)
    rows, dropped = separate(import_dataset("mine", table_recipe(path)))
    if name == "table.csv":  # A missing value is an empty cell.
        assert (rows[2]["category"], rows[2]["category_id"]) == ("", "")
        rows[2] |= {"category": None, "category_id": None}
    assert rows == EXPECTED
    assert dropped == []


def test_a_limit_on_rows_keeps_the_first_rows(tmp_path: Path) -> None:
    write_table(tmp_path / "table.csv")
    recipe = table_recipe(tmp_path / "table.csv", rows=2)
    assert [row["question"] for row, _ in import_dataset("mine", recipe)] == [
        record["prompt"] for record in RECORDS[:2]
    ]


def test_the_recipe_names_the_column_of_the_question() -> None:
    table = [{"question": "Not this?", "prompt": "This?", "answer": "Yes."}]
    [(row, reason)] = read_questions(table, "mine", Columns(question="prompt"), "table")
    assert reason is None
    assert row["question"] == "This?"
    assert (row["category"], row["category_id"]) == (None, None)


def test_rows_without_a_usable_question_are_dropped_with_their_number_and_reason() -> None:
    texts = ["Why?", "", "  \n", None, 5, "x" * 100_000, " why?  ", "Caf\u00e9?", "Cafe\u0301?"]
    table = [{"question": text} for text in texts]
    kept, dropped = separate(read_questions(table, "mine", Columns(), "table"))
    assert [row["question"] for row in kept] == ["Why?", "Café?"]
    assert [(row["number"], row["reason"]) for row in dropped] == [
        (1, "empty"),
        (2, "empty"),
        (3, "empty"),
        (4, "empty"),
        (5, "too_long"),
        (6, "duplicate"),
        (8, "duplicate"),
    ]


def table_of(column: str, values: list[object]) -> list[dict[str, object]]:
    """Return a table with a question for each value of a column."""
    return [{"question": f"Is it {number}?", column: value} for number, value in enumerate(values)]


def test_category_numbers_are_integers_whatever_the_table_made_of_them() -> None:
    values = [2, 2.0, "2", "2.0", "-2.00", np.float64(2), np.int64(2), None, float("nan"), pd.NA]
    values += [np.float32("nan"), "", "007", "S1"]
    rows = read_questions(table_of("number", values), "m", Columns(category_id="number"), "t")
    expected = [*["2"] * 4, "-2", "2", "2", None, None, None, None, "", "007", "S1"]
    assert [row["category_id"] for row, _ in rows] == expected


def test_a_float_column_of_a_parquet_file_has_integers(tmp_path: Path) -> None:
    table = pd.DataFrame(table_of("number", [2, None, 3])).astype({"number": float})
    table.to_parquet(tmp_path / "table.parquet")
    columns = {"question": "question", "category_id": "number"}
    keys = {"source": "file", "path": str(tmp_path / "table.parquet"), "columns": columns}
    rows = import_dataset("mine", make_recipe(FileDatasetRecipe, **keys))
    assert [row["category_id"] for row, _ in rows] == ["2", None, "3"]


@pytest.mark.parametrize("value", [2.5, "2.5", True, float("inf"), [2], {"a": 2}])
def test_a_category_number_that_is_no_integer_is_an_error(value: object) -> None:
    rows = read_questions(
        table_of("number", [1, value]), "m", Columns(category_id="number"), "t.csv"
    )
    with pytest.raises(UserError, match=r"t\.csv, row 1\b.*'number'.*category_id") as error:
        list(rows)
    assert repr(value) in str(error.value)


@pytest.mark.parametrize("value", [True, ["law"], {"law": True}])
def test_a_category_that_is_no_text_is_an_error(value: object) -> None:
    rows = read_questions(table_of("kind", ["law", value]), "m", Columns(category="kind"), "t.csv")
    with pytest.raises(UserError, match=r"t\.csv, row 1\b.*'kind'.*columns\.category\b"):
        list(rows)


def test_a_table_without_a_usable_question_is_an_error(project: Path) -> None:
    Path("mine.csv").write_text("question\n\n  \n")
    Path("config/datasets/mine.yaml").write_text("{source: file, path: mine.csv}")
    with pytest.raises(UserError, match=r"inputs\.jsonl.*2 empty"):
        import_inputs.main(
            dataset="mine", splits=[], synthesis="closed-world", output=Path("inputs.jsonl")
        )


# Comparison with training questions


def question(text: str, **fields: Any) -> dict[str, Any]:
    """Return the row of a question."""
    return {"id": row_id(text), "question": text, **fields}


def test_questions_that_are_similar_to_a_training_question_are_dropped() -> None:
    training = [question("Who painted the Mona Lisa in Florence?"), question("Is it so?")]
    imported = [
        question("Who painted the Mona Lisa in Florence?"),
        question("Who painted the Mona Lisa in Florence??"),
        question("Who wrote the Divine Comedy?"),
        question("Who wrote the Divine Comedy!?"),
    ]
    rows = read_questions([*imported, question("")], "m", Columns(), "t")
    kept, dropped = separate(
        drop_training_questions(rows, [*training, *training], shingle=5, similarity=0.8)
    )
    assert [row["question"] for row in kept] == [row["question"] for row in imported[2:]]
    assert [row["reason"] for row in dropped] == ["in_training", "in_training", "empty"]


def test_a_question_that_is_similar_to_any_of_several_training_questions_is_dropped() -> None:
    texts = [f"abcdefghijklmnop{ending}" for ending in ("", "qr", "qrst")]
    first, second, tested = (question(text) for text in texts)
    rows = list(read_questions([tested], "m", Columns(), "t"))
    for training, number in (([first, second], 1), ([second], 1), ([first], 0)):
        _, dropped = separate(drop_training_questions(rows, training, shingle=5, similarity=0.8))
        assert len(dropped) == number


def test_import_drops_questions_of_training_and_validation(project: Path) -> None:
    sides = ["train", "validation", "test"]
    texts = ["Is an ox a cow?", "Who hunts the blue whale?", "How fast are hummingbirds?"]
    write_rows(
        Path("split.jsonl"),
        [question(text, split=side) for text, side in zip(texts, sides, strict=True)],
    )
    Path("mine.csv").write_text("\n".join(["question", *texts, "Another one?", ""]))
    Path("config/datasets/mine.yaml").write_text("{source: file, path: mine.csv}")
    import_inputs.main(
        dataset="mine",
        splits=[Path("split.jsonl"), Path("split.jsonl")],
        synthesis="closed-world",
        output=Path("inputs.jsonl"),
    )
    assert [row["question"] for row in read_rows(Path("inputs.jsonl"))] == [
        texts[2],
        "Another one?",
    ]
    assert read_json(Path("inputs.counts.json")) == {
        "in": 4,
        "out": 2,
        "dropped": {"in_training": 2},
    }


# Held-out questions


def held_out(criterion: str, count: int) -> list[dict[str, Any]]:
    """Return held-out questions of a criterion. The last one is the same for all criteria."""
    texts = [f"What is number {number} for the {criterion}?" for number in range(count - 1)]
    return [question(text, criterion=criterion) for text in [*texts, "What do all of them ask?"]]


def test_a_sample_has_the_same_number_of_questions_of_each_criterion() -> None:
    counts = {"ethical": 20, "factuality": 20, "helpful": 5}
    available = {criterion: held_out(criterion, count) for criterion, count in counts.items()}

    def sampled(available: Mapping[str, list[Row]], seed: int) -> tuple[list[Row], list[Row]]:
        return separate(sample_held_out("mixed", available, LANGUAGE, LANGUAGES, 8, seed))

    kept, dropped = sampled(available, 0)
    assert Counter(row["category"] for row in kept) == {
        "ethical": 8,
        "factuality": 8,
        "helpful": 4,  # The fifth question is also one of the other criteria.
    }
    assert len({row["id"] for row in kept}) == len(kept)
    assert len(kept) + len(dropped) == 45
    assert sum(row["reason"] == "duplicate" for row in dropped) == 2
    reverse = {criterion: rows[::-1] for criterion, rows in available.items()}
    assert sampled(reverse, 0)[0] == kept
    assert sampled(available, 1)[0] != kept


def test_held_out_questions_are_plain_text_in_the_language_of_their_criterion() -> None:
    texts = {
        "What is a security code?": None,
        "Is it “fair” – really?": None,
        "<b>What</b> is it?": "markup",
        "Was ist das Beste, was ich jetzt tun kann?": "language",
    }
    rows = [question(text, criterion="helpful") for text in texts]
    sampled = sample_held_out("mixed", {"helpful": rows}, LANGUAGE, LANGUAGES, 10, seed=0)
    dropped = {row["question"]: reason for row, reason in sampled if reason}
    assert {text: dropped.get(text) for text in texts} == texts
    german = {"helpful": ["de"]}
    sampled = sample_held_out("mixed", {"helpful": rows}, LANGUAGE, german, 10, seed=0)
    assert {row["question"] for row, reason in sampled if reason is None} == {list(texts)[-1]}


def test_the_program_samples_only_from_the_test_side(in_the_project: None, tmp_path: Path) -> None:
    splits = []
    for criterion in ("ethical", "helpful"):
        rows = held_out(criterion, 30)
        sides = [["train", "test", "validation"][number % 3] for number in range(30)]
        splits.append(tmp_path / f"{criterion}.jsonl")
        write_rows(
            splits[-1], ({**row, "split": side} for row, side in zip(rows, sides, strict=True))
        )
    sample_inputs.main(
        dataset="mixed",
        synthesis="closed-world",
        rows=6,
        seed=0,
        output=tmp_path / "inputs.jsonl",
        criteria=["ethical", "helpful"],
        splits=splits,
    )
    counts = read_json(tmp_path / "inputs.counts.json")
    assert counts == {"in": 20, "out": 12, "dropped": {"over_limit": 8}}
    for row in read_rows(tmp_path / "inputs.jsonl"):
        [number] = re.findall(r"\d+", row["question"])
        assert int(number) % 3 == 1


def test_a_local_copy_replaces_a_data_set_of_the_hub(project: Path) -> None:
    recipe = {"source": "hub", "repository": "a/b", "revision": "c", "path": "mine.jsonl"}
    write_table(Path("mine.jsonl"))
    Path("config/datasets/mine.yaml").write_text("{source: synthetic}")
    set_keys("config/datasets/mine.yaml", **recipe, columns=COLUMNS)
    import_inputs.main(
        dataset="mine", splits=[], synthesis="closed-world", output=Path("inputs.jsonl")
    )
    assert read_rows(Path("inputs.jsonl")) == EXPECTED


def import_from_hub(project: Path, hub: Hub, **keys: Any) -> subprocess.CompletedProcess[str]:
    """Run the program with the recipe of a data set on a local server with the Hub's API."""
    recipe = {"source": "hub", "repository": "someone/questions", "revision": COMMIT, **keys}
    Path("config/datasets/mine.yaml").write_text("{source: synthetic}")
    set_keys("config/datasets/mine.yaml", **recipe, columns=COLUMNS)
    online = {"HF_ENDPOINT": hub.url, "HF_HOME": str(project / "cache"), "HF_TOKEN": TOKEN}
    return subprocess.run(
        [
            *[sys.executable, "workflow/scripts/import_inputs.py", "--dataset", "mine"],
            *["--splits", "--synthesis", "closed-world", "--output", "inputs.jsonl"],
        ],
        env={**environment(project), **online, "HF_HUB_OFFLINE": "0"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def test_a_recipe_may_name_one_file_of_a_data_set_on_the_hub(project: Path) -> None:
    with serve_hub() as hub:
        repository = Repository()
        content = json.dumps(RECORDS).encode()
        repository.branches["main"] = {"data/mine.json": content, "questions.py": b"import os"}
        hub.repositories["dataset", "someone/questions"] = repository
        result = import_from_hub(project, hub, file="data/mine.json")
        assert result.returncode == 0, result.stderr
        assert read_rows(Path("inputs.jsonl")) == EXPECTED
        missing = import_from_hub(project, hub, file="other.json")
    assert missing.returncode == 1
    message = missing.stderr.splitlines()[-1]
    for part in ("error: ", "someone/questions", "check the recipe", "`file`", "`path`"):
        assert part in message
