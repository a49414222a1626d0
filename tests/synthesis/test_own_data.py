"""Data of one's own: imported, joined for a criterion, used beside or in place of a teacher's."""

import csv
import json
from collections.abc import Mapping, Sequence
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import build_aligner_set
import build_inspector_set
import filter_labels
import gather_pairs
import import_data
import join_imports
import pytest
import split_questions
from projects import MINIATURE, fail_snakemake, run_snakemake
from yaml_edits import set_keys

from aligners.configuration.experiment import Experiment
from aligners.core.errors import UserError
from aligners.core.rows import Row, read_json, read_rows, row_id, write_rows
from aligners.estimate.stages import load_experiment, make_stages
from aligners.report.provenance import recipe_files
from aligners.synthesis.own_data import questions_to_pair

COUNT = 40
with Path("resources/real/questions.csv").open(encoding="utf-8", newline="") as table:
    QUESTIONS = [row["question"] for row in islice(csv.DictReader(table), COUNT)]


def corrections(questions: Sequence[str] = QUESTIONS) -> list[Row]:
    """Return corrections of a response that is too long."""
    return [
        {
            "question": question,
            "answer": "It is good for something, as far as I know, and I know a lot.",
            "correction": "It is good for something.",
            "id": number,
        }
        for number, question in enumerate(questions)
    ]


def preferences(questions: Sequence[str] = QUESTIONS) -> list[Row]:
    """Return preferences of one response to another."""
    return [
        {"prompt": question, "chosen": " It is good for this.", "rejected": " I would not know it."}
        for question in questions
    ]


def labels(questions: Sequence[str] = QUESTIONS) -> list[Row]:
    """Return two labelled responses to each question, as BeaverTails has them."""
    return [
        {"prompt": question, "response": response, "is_safe": is_safe, "category": {"a": False}}
        for question in questions
        for response, is_safe in (("You can use it.", True), ("Use it on your cat.", False))
    ]


def responses(questions: Sequence[str] = QUESTIONS) -> list[Row]:
    """Return responses as chats."""
    return [
        {
            "messages": [
                {"role": "user", "content": question},
                {"role": "assistant", "content": "I would ask a friend."},
            ]
        }
        for question in questions
    ]


def write_import(name: str, rows: Sequence[Row], **keys: Any) -> None:
    """Write a table and its recipe into the working directory."""
    Path("config/imports").mkdir(parents=True, exist_ok=True)
    write_rows(Path(f"{name}.jsonl"), rows)
    recipe = {"source": "file", "path": f"{name}.jsonl", **keys}
    Path(f"config/imports/{name}.yaml").write_text(json.dumps(recipe))


def write_criterion(data: Sequence[str], **keys: Any) -> None:
    """Write the criterion `mine` with imports into the working directory."""
    Path("config/criteria").mkdir(parents=True, exist_ok=True)
    recipe = {"principles": "resources/criteria/ethical/principles.yaml", "data": data, **keys}
    Path("config/criteria/mine.yaml").write_text(json.dumps(recipe))


def imported(name: str, rows: Sequence[Row], **keys: Any) -> Path:
    """Run the import of rows, and return the file."""
    write_import(name, rows, **keys)
    output = Path(f"out/{name}.jsonl")
    import_data.main(imported=name, output=output)
    return output


def joined(*files: Path, asked: tuple[Path, ...] = ()) -> Path:
    """Join imports, and return the file."""
    output = Path("out/own_data.jsonl")
    join_imports.main(criterion="mine", imports=list(files), questions=asked, output=output)
    return output


def split(questions: list[Path]) -> Path:
    """Split questions, and return the file."""
    output = Path("out/split.jsonl")
    split_questions.main(
        questions=questions, earlier=[], synthesis="closed-world", shares=(0.6, 0.2, 0.2),
        output=output,
    )  # fmt: skip
    return output


def dropped(path: Path) -> Mapping[str, int]:
    """Return the number of dropped rows by reason, from the counts beside a file."""
    counts: Mapping[str, int] = read_json(path.with_suffix(".counts.json"))["dropped"]
    return counts


@pytest.fixture(autouse=True)
def _in_a_directory(project: Path) -> None:
    """Run in an empty project."""


def test_an_import_has_texts_kind_and_origin_of_each_record() -> None:
    rows = [*corrections(QUESTIONS[:2]), corrections(QUESTIONS[:1])[0]]
    rows += [{**rows[0], "correction": " "}, {**rows[0], "question": 7}]
    path = imported("mine", rows, kind="corrections", license="CC BY-NC 4.0")
    first, second = read_rows(path)
    assert first == {
        "id": row_id(rows[0]["question"], rows[0]["answer"], rows[0]["correction"]),
        "kind": "corrections",
        "question": rows[0]["question"],
        "response": rows[0]["answer"],
        "aligned_response": rows[0]["correction"],
        "source": "mine",
        "license": "CC BY-NC 4.0",
        "original_id": "0",
    }
    assert second["original_id"] == "1"
    assert dropped(path) == {"duplicate": 1, "empty": 1, "not_text": 1}
    *_, unreadable = read_rows(path.with_suffix(".dropped.jsonl"))
    assert unreadable["place"] == "line 5" and json.loads(unreadable["record"]) == rows[4]


def test_an_import_without_a_usable_record_names_the_reasons() -> None:
    with pytest.raises(UserError, match=r"2 empty, 1 not_text"):
        imported("mine", [{"question": one} for one in ("", " ", 5)], kind="questions")


COLUMNS = [
    ({"kind": "corrections"}, "kind: .*no known format of corrections.*prompt, response, is_safe"),
    ({"kind": "responses", "columns": {"question": "prompt"}}, "columns.response: .*missing"),
    ({"kind": "responses", "columns": {"question": "p", "response": "response"}},
     "columns.question: .*'p'.*prompt, response"),
    ({"kind": "labels", "columns": {"question": "prompt", "response": "response", "chosen": "a"}},
     "columns.(label|chosen)"),
    ({"kind": "labels", "format": "argilla"}, "format: .*argilla has preferences"),
    ({"kind": "labels", "format": "kto-chat"},
     "format: .*the columns messages, kto_tag,.*prompt, response"),
    ({"kind": "labels", "format": "spaghetti"}, "format: .*no format 'spaghetti'.*beavertails"),
    ({"kind": "labels", "least_similarity": 0.5}, "least_similarity: .*only preferences"),
    ({"kind": "labels", "format": "beavertails", "columns": {"question": "prompt"}},
     "format: .*exclude each other"),
]  # fmt: skip


@pytest.mark.parametrize(("keys", "message"), COLUMNS)
def test_a_recipe_that_does_not_fit_its_table_names_the_key(
    keys: dict[str, Any], message: str
) -> None:
    write_import("mine", labels(), **keys)
    write_criterion(["mine"])
    set_keys(MINIATURE, criteria=["mine"])
    with pytest.raises(UserError, match=f"config/imports/mine.yaml.*{message}"):
        load_experiment(Path(MINIATURE))


def test_columns_that_fit_two_formats_need_the_key_format() -> None:
    rows = [{"question": "Why?", "prompt": "Why?", "response": "So."}]
    keys = {"kind": "responses"}
    with pytest.raises(UserError, match="set format to one of question-response, prompt-response"):
        imported("mine", rows, **keys)
    assert read_rows(imported("mine", rows, **keys, format="prompt-response"))


def test_a_criterion_has_one_pair_of_a_question_and_all_its_labels() -> None:
    first = imported("first", corrections(QUESTIONS[:3]), kind="corrections")
    second = imported("second", preferences(QUESTIONS[2:4]), kind="preferences")
    labelled = imported("labelled", labels(QUESTIONS[:2]), kind="labels")
    asked = Path("out/questions.jsonl")
    write_rows(asked, [{"id": row_id(QUESTIONS[0]), "question": QUESTIONS[0]}])
    path = joined(labelled, first, second, asked=(asked,))
    assert dropped(path) == {"duplicate": 2}
    rows = read_rows(path)
    assert [row["kind"] for row in rows] == [*["corrections"] * 2, "preferences", *["labels"] * 4]
    assert [row["id"] for row in rows[:3]] == [row_id(question) for question in QUESTIONS[1:4]]
    assert {row["question_id"] for row in rows[3:]} == {row_id(one) for one in QUESTIONS[:2]}


def test_pairs_are_those_of_the_teacher_and_imported_ones_in_the_order_of_the_questions() -> None:
    asked, shard = Path("out/questions.jsonl"), Path("out/pairs/0.jsonl")
    files = [
        imported("given", responses(QUESTIONS[1:2]), kind="responses"),
        imported("better", preferences(QUESTIONS[2:3]), kind="preferences"),
    ]
    write_rows(asked, [{"id": row_id(QUESTIONS[0]), "question": QUESTIONS[0]}])
    questions = [asked, joined(*files, asked=(asked,))]
    to_pair = questions_to_pair(questions)
    assert [row.get("response") for row in to_pair] == [None, "I would ask a friend."]
    texts = {"response": "a", "critique": "b", "aligned_response": "c"}
    write_rows(shard, [{**row, "criterion": "mine", **texts} for row in to_pair])
    write_rows(shard.with_suffix(".dropped.jsonl"), [])
    shard.with_suffix(".counts.json").write_text('{"in": 2, "out": 2, "dropped": {}}')
    usage = {"completions": 2, "failed": {}, "attempts": 2, "tokens_in": 1, "tokens_out": 1,
             "latency_seconds": 0.0, "job_seconds": 0.0, "cost": None, "currency": None,
             "failed_share": 0.0, "tokens_per_second": None,
             "mean_latency_seconds": 0.0}  # fmt: skip
    shard.with_suffix(".usage.json").write_text(json.dumps(usage))
    output = Path("out/pairs.jsonl")
    gather_pairs.main(questions=questions, shards=(shard,), output=output)
    pairs = read_rows(output)
    assert [row["question"] for row in pairs] == QUESTIONS[:3]
    assert (pairs[2]["response"], pairs[2]["aligned_response"], pairs[2]["source"]) == (
        "I would not know it.", "It is good for this.", "better"
    )  # fmt: skip


def build_sets(pairs: Sequence[Row], split_file: Path, least: str, labels: Path) -> Path:
    """Build both training sets of pairs, and return their directory."""
    write_rows(Path("out/similar.jsonl"), pairs)
    for build, options in (
        (build_aligner_set, {"pairs": Path("out/similar.jsonl"), "identity_share": 0.0,
                             "rows": 1000, "least_similarity": least}),
        (build_inspector_set, {"criterion": "mine", "similarity": Path("out/similar.jsonl"),
                               "pairs": 1000, "labels": (labels,)}),
    ):  # fmt: skip
        directory = Path("out") / build.__name__
        sides = {name: directory / f"{name}.jsonl" for name in ("train", "validation", "test")}
        build.main(
            **options, split=split_file, seed=0, **sides, counts=directory / "counts.json",
            dropped=directory / "dropped.jsonl",
        )  # fmt: skip
    return Path("out")


def test_the_kind_of_a_row_decides_what_is_trained_on_it() -> None:
    """Preferences reach aligners above a similarity alone, and labels reach only inspectors."""
    write_criterion(["c", "p", "q", "l"])
    names = {"c": corrections(QUESTIONS[:15]), "p": preferences(QUESTIONS[15:30]),
             "q": preferences(QUESTIONS[30:])}  # fmt: skip
    files = [
        imported(name, rows, kind="corrections" if name == "c" else "preferences")
        for name, rows in names.items()
    ]
    files.append(imported("l", labels(QUESTIONS[:20]), kind="labels", license="CC BY-NC 4.0"))
    own_data = joined(*files)
    sides = split([own_data])
    labels_file = Path("out/labels.jsonl")
    filter_labels.main(
        criterion="mine", own_data=own_data, split=sides, synthesis="closed-world",
        output=labels_file,
    )  # fmt: skip
    assert len(read_rows(labels_file)) == 40
    gather_pairs.main(questions=[own_data], output=Path("out/pairs.jsonl"))
    pairs = [
        {**row, "similarity": 0.9 if number % 2 else 0.3}
        for number, row in enumerate(read_rows(Path("out/pairs.jsonl")))
    ]
    out = build_sets(pairs, sides, '{"p": 0.5}', labels_file)
    aligner = [row for path in out.glob("build_aligner_set/t*.jsonl") for row in read_rows(path)]
    aligner += read_rows(out / "build_aligner_set/validation.jsonl")
    assert {row["source"] for row in aligner} == {"c", "p"}
    assert read_json(out / "build_aligner_set/counts.json")["dropped"] == {
        "dissimilar": 7, "preference": 10
    }  # fmt: skip
    inspector = [
        row
        for side in ("train", "validation", "test")
        for row in read_rows(out / f"build_inspector_set/{side}.jsonl")
    ]
    assert sum(row["source"] == "l" for row in inspector) == 40
    assert len(inspector) == 2 * len(pairs) + 40
    assert {row["license"] for row in inspector if row["source"] == "l"} == {"CC BY-NC 4.0"}
    by_side = [{row["question_id"] for row in read_rows(out / f"build_inspector_set/{side}.jsonl")}
               for side in ("train", "validation", "test")]  # fmt: skip
    assert not any(first & second for first, second in pairwise([*by_side, by_side[0]]))


def without_teacher(criteria: list[str]) -> None:
    """Change the miniature to some criteria without a teacher."""
    set_keys(MINIATURE, criteria=criteria, teacher=None)
    with Path(MINIATURE).open("a") as file:
        file.write("teacher: null\n")  # otherwise config.yaml has one


def test_corrections_alone_make_an_inspector_and_an_aligner_without_an_llm(project: Path) -> None:
    write_import("own", corrections(), kind="corrections")
    write_criterion(["own"], near_copy_similarity=1.0)
    set_keys(MINIATURE, external=[], systems=["squad"])
    without_teacher(["mine"])
    run_snakemake(project, "results/inspectors/all", "results/aligners/all")
    assert not list(Path("logs").glob("generate_*"))
    assert Path("results/inspectors/bert-miniature/mine/model/config.json").exists()
    assert Path("results/aligners/gpt2-miniature/mine/model/config.json").exists()
    counts = read_json(Path("results/synthetic/mine/aligner/counts.json"))
    assert counts["out"] >= COUNT / 2
    assert read_json(Path("results/synthetic/mine/pairs.usage.json"))["completions"] == 0


def test_the_report_has_no_step_of_a_teacher_and_no_file_of_data(project: Path) -> None:
    write_import("own", corrections(), kind="corrections")
    write_criterion(["own"])
    without_teacher(["mine"])
    assert "write_report" in run_snakemake(project, "-n", "results/report.html")
    config = load_experiment(Path(MINIATURE))
    assert "own.jsonl" not in {path.name for path in recipe_files(config)}
    assert "own.yaml" in {path.name for path in recipe_files(config)}


@pytest.mark.parametrize("teacher", [None, "closed-world-teacher"])
def test_an_estimate_of_corrections_has_no_stage_of_a_teacher(teacher: str | None) -> None:
    write_import("own", corrections(), kind="corrections")
    write_criterion(["own"])
    without_teacher(["mine"])
    if teacher:
        set_keys(MINIATURE, teacher=teacher)
    config = load_experiment(Path(MINIATURE))
    assert {stage.name for stage in make_stages(config, 2)} == {"responses"}


def test_an_estimate_counts_imported_questions_and_responses() -> None:
    write_import("asked", [{"question": one} for one in QUESTIONS[:7]], kind="questions")
    given = [{"question": one, "response": text} for one in QUESTIONS[10:15] for text in "ab"]
    write_import("given", given, kind="responses")
    write_criterion(["asked"])
    set_keys(MINIATURE, criteria=["mine"], data=["given"], responses_by=["closed-world-base"])
    config = load_experiment(Path(MINIATURE))
    stages = {stage.name: stage for stage in make_stages(config, 2)}
    assert "topics" not in stages and "questions" not in stages
    assert (stages["pairs"].requests, stages["first_responses"].requests) == (12, 7)


def test_first_responses_are_only_for_questions_of_the_teacher(project: Path) -> None:
    write_import("own", corrections(), kind="corrections")
    write_criterion(["own"])
    set_keys(MINIATURE, criteria=["mine", "ethical"], responses_by=["closed-world-base"])
    config = load_experiment(Path(MINIATURE))
    requests = {stage.name: stage.requests for stage in make_stages(config, 2)}
    assert requests["first_responses"] == requests["pairs"] == config.questions_per_criterion


def test_data_of_the_configuration_are_used_by_every_criterion(project: Path) -> None:
    write_import("own", corrections(), kind="corrections")
    write_import("given", responses(), kind="responses")
    write_criterion(["own"])
    set_keys(MINIATURE, criteria=["mine", "ethical"], data=["given"])
    names = Experiment(load_experiment(Path(MINIATURE))).names
    assert names["importing"] == names["corrected"] == ["mine", "ethical"]
    assert (names["generated"], names["imported"]) == (["ethical"], ["own", "given"])
    plan = run_snakemake(project, "-n", "results/synthetic/all")
    assert "join_imports" in plan and "generate_pairs" in plan


def test_a_criterion_of_responses_needs_a_teacher(project: Path) -> None:
    write_import("given", responses(), kind="responses")
    write_criterion(["given"])
    without_teacher(["mine"])
    message = fail_snakemake(project, "-n", "results/synthetic/all")
    assert "mine" in message and "add the key teacher" in message


def test_a_criterion_without_data_and_an_import_that_does_not_exist_are_named(
    project: Path,
) -> None:
    write_criterion([])
    set_keys(MINIATURE, criteria=["mine"])
    message = fail_snakemake(project, "-n", "results/synthetic/all")
    assert "config/criteria/mine.yaml" in message and "seed_questions" in message
    write_import("given", responses(), kind="responses")
    write_criterion(["giv"])
    message = fail_snakemake(project, "-n", "results/synthetic/all")
    assert "key data" in message and "did you mean given?" in message
