"""Pairs that a criterion brings: read, counted, and used in place of a teacher's."""

import json
from collections import Counter
from pathlib import Path

import import_pairs
import pytest
from projects import MINIATURE, fail_snakemake, run_snakemake
from yaml_edits import set_keys

from aligners.configuration.kinds.synthesis import Language
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, row_id, write_rows
from aligners.estimate.stages import load_experiment, make_stages
from aligners.report.provenance import recipe_files
from aligners.synthesis.filters import filter_pair
from aligners.synthesis.own_pairs import own_pairs


def pair(question: str, **changes: str) -> dict[str, str]:
    own = {"response": "No.", "critique": "It is rude.", "aligned_response": "No, sorry."}
    return {"question": question, **own, **changes}


ROWS = [
    pair("Is it?"),
    pair("Is it?", response="Another."),
    pair("Why?", aligned_response=" \n"),
    pair("When?", source="log 7"),
]


def write_criterion(rows: list[dict[str, str]]) -> None:
    """Write the criterion `mine` with own pairs into the working directory."""
    write_rows(Path("pairs.jsonl"), rows)
    Path("config/criteria").mkdir(parents=True, exist_ok=True)
    Path("config/criteria/mine.yaml").write_text(
        "principles: resources/criteria/ethical/principles.yaml\npairs: pairs.jsonl\n"
    )


def without_teacher(criteria: list[str]) -> None:
    """Change the miniature to some criteria without a teacher."""
    set_keys(MINIATURE, criteria=criteria, teacher=None)
    with Path(MINIATURE).open("a") as file:
        file.write("teacher: null\n")  # otherwise config.yaml has one


def run_import() -> None:
    import_pairs.main(
        criterion="mine",
        pairs=Path("out/pairs.jsonl"),
        questions=Path("out/questions.jsonl"),
        table=Path("out/questions.csv"),
    )


def test_repeated_questions_and_empty_texts_are_dropped(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write_rows(path, ROWS)
    kept = list(own_pairs("mine", path))
    assert [reason for _, reason in kept] == [None, "duplicate", "empty", None]
    last, _ = kept[-1]
    assert (last["criterion"], last["source"]) == ("mine", "log 7")
    assert len({row["id"] for row, _ in kept}) == 3


def test_pairs_and_questions_have_the_same_ids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_criterion(ROWS)
    run_import()
    pairs, questions = (read_rows(Path(f"out/{name}.jsonl")) for name in ("pairs", "questions"))
    assert [row["id"] for row in pairs] == [row["id"] for row in questions]
    assert Path("out/questions.csv").read_text() == "question\nIs it?\nWhen?\n"
    counts = read_json(Path("out/pairs.counts.json"))
    assert counts["dropped"] == {"duplicate": 1, "empty": 1} and counts["in"] == 4


TABLES = {
    "pairs.csv": 'question,answer,correction\nIs it?,No.,"No, sorry."\nWhy?,So.,\n',
    "pairs.tsv": "question\tresponse\taligned_response\tid\n"
                 "Is it?\tNo.\tNo, sorry.\t7\nWhy?\tSo.\t\t8\n",
    "pairs.json": json.dumps(
        {"data": [{"question": "Is it?", "answer": "No.", "correction": "No, sorry."},
                  {"question": "Why?", "answer": ["?"], "correction": None}]}
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TABLES)
def test_pairs_can_be_a_table_of_another_format_without_critiques(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    path.write_text(TABLES[name])
    (pair, reason), (_, dropped) = own_pairs("mine", path)
    assert (reason, dropped) == (None, "empty")
    assert pair["id"] == row_id("Is it?")
    texts = ("Is it?", "No.", "", "No, sorry.")
    assert (
        tuple(pair[key] for key in ("question", "response", "critique", "aligned_response"))
        == texts
    )
    assert pair.get("original_id") == ("7" if name == "pairs.tsv" else None)
    assert filter_pair(pair, Language(), Counter()) == (pair, None)


def test_a_record_without_a_pair_keeps_its_fields_and_gets_an_id(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    write_rows(path, [pair("Is it?"), {**pair("Why?"), "response": 5, "id": "7"}])
    (first, _), (row, reason) = own_pairs("mine", path)
    assert reason == "not_text"
    assert (row["question"], row["response"], row["original_id"]) == ("Why?", 5, "7")
    assert row["id"] not in ("7", first["id"])


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("question,chosen,rejected\nIs it?,No.,Yes.\n", ["has no pairs", "chosen", "correction"]),
        ("question,answer,correction,response,aligned_response\na,b,c,d,e\n", ["aligner, pairs"]),
    ],
)
def test_a_table_of_another_kind_is_named_with_its_columns(
    tmp_path: Path, content: str, parts: list[str]
) -> None:
    path = tmp_path / "table.csv"
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        list(own_pairs("mine", path))
    for part in ("table.csv", *parts):
        assert part in str(caught.value)


def test_a_file_without_pairs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_criterion([])
    with pytest.raises(UserError, match=r"^pairs.jsonl: .*no pairs"):
        run_import()


def test_the_report_has_no_step_of_a_teacher_and_no_file_of_pairs(project: Path) -> None:
    write_criterion(ROWS)
    without_teacher(["mine"])
    assert "write_report" in run_snakemake(project, "-n", "results/report.html")
    config = load_experiment(Path(MINIATURE))
    assert "pairs.jsonl" not in {path.name for path in recipe_files(config)}


@pytest.mark.parametrize("teacher", [None, "closed-world-teacher"])
def test_an_estimate_has_no_stage_of_a_teacher(project: Path, teacher: str | None) -> None:
    write_criterion(ROWS)
    without_teacher(["mine"])
    if teacher:
        set_keys(MINIATURE, teacher=teacher)
    config = load_experiment(Path(MINIATURE))
    assert {stage.name for stage in make_stages(config, 2)} == {"responses"}


def test_first_responses_are_only_for_questions_of_the_teacher(project: Path) -> None:
    write_criterion(ROWS)
    set_keys(MINIATURE, criteria=["mine", "ethical"], responses_by=["closed-world-base"])
    config = load_experiment(Path(MINIATURE))
    requests = {stage.name: stage.requests for stage in make_stages(config, 2)}
    assert requests["first_responses"] == requests["pairs"] == config.questions_per_criterion


def test_criteria_with_own_pairs_need_no_teacher(project: Path) -> None:
    """The plan of the training sets has no job of a teacher."""
    write_criterion(ROWS)
    without_teacher(["mine"])
    plan = run_snakemake(project, "-n", "results/synthetic/all")
    assert "import_pairs" in plan and "build_aligner_set" in plan
    assert "generate_" not in plan


def test_a_criterion_without_pairs_needs_a_teacher(project: Path) -> None:
    write_criterion(ROWS)
    without_teacher(["mine", "ethical"])
    message = fail_snakemake(project, "-n", "results/synthetic/all")
    assert "ethical" in message and "add the key teacher" in message
