"""The whole workflow on the closed world in miniature, run for real."""

import itertools
import json
import re
import shutil
from collections import defaultdict
from pathlib import Path

import pandas as pd
import pytest
from datasets import load_dataset
from huggingface_hub import ModelCard
from projects import MINIATURE, fail_snakemake, make_project, run_snakemake
from yaml_edits import set_keys

from aligners.core.rows import by_id, read_json, read_rows, row_id

TARGETS = [
    "results/alpaca_eval/all",
    "results/synthetic/all",
    "results/aligners/all",
    "results/closed_world/scorecard.json",
    "results/judged/all",
    "results/tables/all",
    "results/reproduction/closed-world/win_rates.md",
    "results/report.html",
]
CRITERIA = ["ethical", "factuality"]
SYSTEMS = ["squad", "squad-paper", "conditioned", "squad-conditioned"]
JUDGED = "results/judged/closed-world/{}/closed-world-base/gpt2-miniature"
ALIGNED = "results/aligned/{}/closed-world-base/gpt2-miniature/{}.jsonl"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the miniature workflow has run to its end."""
    project = make_project(tmp_path_factory.mktemp("workflow"))
    run_snakemake(project, *TARGETS)
    return project


def test_second_run_has_nothing_to_do(finished: Path) -> None:
    assert "Nothing to be done" in run_snakemake(finished, *TARGETS)


def test_every_file_is_listed_with_its_checksum(finished: Path) -> None:
    lines = (finished / "results/alpaca_eval/all").read_text().splitlines()
    # 2 data sets x 6 systems x 3 references x 2 files.
    assert len(lines) == 72
    assert all(re.fullmatch(r"[0-9a-f]{64}  results/alpaca_eval/\S+\.json", line) for line in lines)


def test_the_conditioned_aligner_is_listed_with_the_others(finished: Path) -> None:
    listed = (finished / "results/aligners/all").read_text()
    for aligner in [*CRITERIA, "conditioned"]:
        assert f"results/aligners/gpt2-miniature/{aligner}/model/model.safetensors" in listed
    assert "ji-et-al" not in listed


@pytest.mark.parametrize("systems", [["squad", "squad-paper"], ["squad-conditioned"]])
def test_the_conditioned_aligner_is_trained_where_a_system_needs_it(
    project: Path, systems: list[str]
) -> None:
    set_keys(project / MINIATURE, systems=systems)
    needed = "squad-conditioned" in systems
    for target in ("results/aligners/all", "results/alpaca_eval/all"):
        planned = run_snakemake(project, "-n", target)
        assert ("aligner gpt2-miniature: conditioned" in planned) == needed


def test_counts_add_up_and_no_row_vanishes(finished: Path) -> None:
    counted = list((finished / "results").rglob("*counts.json"))
    assert len(counted) >= 2 * 8
    for path in counted:
        counts = read_json(path)
        assert counts["in"] == counts["out"] + sum(counts["dropped"].values()), path
        dropped = path.with_name(path.name.replace("counts.json", "dropped.jsonl"))
        assert len(read_rows(dropped)) == sum(counts["dropped"].values()), path
    for criterion in CRITERIA:
        directory = finished / "results/synthetic" / criterion
        chain = ["questions", "pairs", "pairs_filtered"]
        for earlier, later in itertools.pairwise(chain):
            out = read_json(directory / f"{earlier}.counts.json")["out"]
            assert out == read_json(directory / f"{later}.counts.json")["in"]


def test_no_group_lies_on_two_sides(finished: Path) -> None:
    sides = defaultdict(set)
    for criterion in CRITERIA:
        for row in read_rows(finished / f"results/synthetic/{criterion}/split.jsonl"):
            sides[row["group"]].add(row["split"])
    assert {len(splits) for splits in sides.values()} == {1}


def test_training_and_test_questions_are_disjoint(finished: Path) -> None:
    trained = {
        row["question"]
        for path in (finished / "results/synthetic").glob("*/*/train.jsonl")
        for row in read_rows(path)
    }
    for path in (finished / "results/inputs").glob("*.jsonl"):
        if ".dropped" not in path.name:
            questions = {row["question"] for row in read_rows(path)}
            assert questions
            assert not questions & trained


def test_sets_load_with_datasets(finished: Path, tmp_path: Path) -> None:
    files = {
        side: str(finished / f"results/synthetic/ethical/aligner/{side}.jsonl")
        for side in ("train", "validation", "test")
    }
    loaded = load_dataset("json", data_files=files, cache_dir=str(tmp_path))
    assert set(loaded) == set(files)
    assert {"id", "question", "response", "aligned_response"} <= set(loaded["train"].column_names)


@pytest.mark.parametrize("system", [*SYSTEMS, *CRITERIA])
def test_aligned_rows_are_the_inputs_with_a_trace(finished: Path, system: str) -> None:
    inputs = read_rows(finished / "results/inputs/synthetic_mixed.jsonl")
    rows = read_rows(finished / ALIGNED.format("synthetic_mixed", system))
    assert [row["id"] for row in rows] == [row["id"] for row in inputs]
    for row in rows:
        for step in row["trace"]:
            assert step["criterion"] in CRITERIA
            if system in ("squad", "squad-conditioned"):
                assert step["accepted"] == (step["after"] > step["before"][step["criterion"]])
        if system == "conditioned":
            assert [step["criterion"] for step in row["trace"]] == CRITERIA
        if not any(step["accepted"] for step in row["trace"]):
            assert row["aligned_response"] == row["response"]


def test_alpaca_eval_files_have_the_same_rows_in_the_same_order(finished: Path) -> None:
    samples = set()
    for path in (finished / "results/alpaca_eval/synthetic_mixed").rglob("model_outputs.json"):
        model = read_json(path)
        reference = read_json(path.with_name("reference_outputs.json"))
        instructions = [row["instruction"] for row in model]
        assert instructions == [row["instruction"] for row in reference]
        assert len(set(instructions)) == len(instructions) == 20
        assert {row["generator"] for row in model} != {row["generator"] for row in reference}
        samples.add(tuple(instructions))
    assert len(samples) == 1


def test_references_are_the_answers_they_name(finished: Path) -> None:
    comparison = finished / "results/alpaca_eval/synthetic_mixed/closed-world-base/gpt2-miniature"
    for reference, source in {
        "base": "results/responses/synthetic_mixed/closed-world-base.jsonl",
        "finetuned": "results/responses/synthetic_mixed/closed-world-finetuned.jsonl",
    }.items():
        answers = {row["question"]: row["response"] for row in read_rows(finished / source)}
        for row in read_json(comparison / "squad" / reference / "reference_outputs.json"):
            assert row["output"] == answers[row["instruction"]]


def test_scorecard_holds_every_figure(finished: Path) -> None:
    scores = read_json(finished / "results/closed_world/scorecard.json")
    assert set(scores["inspectors"]) == set(CRITERIA)
    for metrics in scores["inspectors"].values():
        assert set(metrics) == {"accuracy", "roc_auc", "ece", "n"}
    for reason in ("code", "empty", "language", "leaked_prompt", "markup", "no_content"):
        assert set(scores["filters"][reason]) == {"precision", "recall", "n"}
    systems = {*CRITERIA, "external", *SYSTEMS}
    for pool in ("synthetic_mixed", "categories-miniature", "all"):
        known = scores["datasets"][pool]["closed-world-base"]
        for part in (known, known["unknown_facts"]):
            assert set(part["clean_share"]) == systems | {"initial", "finetuned"}
            assert set(part["harm_rate"]) == systems
    known = scores["datasets"]["synthetic_mixed"]["closed-world-base"]
    share = known["clean_share"]["initial"]
    assert share["low"] <= share["value"] <= share["high"]
    unknown = known["unknown_facts"]["clean_share"]["initial"]["n"]
    rows = read_rows(finished / "results/inputs/synthetic_mixed.jsonl")
    assert share["n"] + unknown == len(rows)


def test_every_compared_question_has_a_verdict_in_both_orders(finished: Path) -> None:
    files = list((finished / "results/alpaca_eval").rglob("model_outputs.json"))
    assert len(files) == 36
    for path in files:
        comparison = path.parent.relative_to(finished / "results/alpaca_eval")
        rows = read_rows(finished / "results/judged/closed-world" / comparison / "verdicts.jsonl")
        assert [row["id"] for row in rows] == [
            row_id(row["instruction"]) for row in read_json(path)
        ]
        references = read_json(path.with_name("reference_outputs.json"))
        for row, ours, theirs in zip(rows, read_json(path), references, strict=True):
            if ours["output"] == theirs["output"]:
                assert (row["first_order"], row["second_order"]) == (0.5, 0.5)
                assert row["first_reply"] is None
            else:
                assert row["first_reply"] in ("m", "M", "Both")


def test_a_comparison_counts_every_question_and_names_itself(finished: Path) -> None:
    directory = finished / JUDGED.format("categories-miniature")
    rows = read_rows(directory / "squad/base/verdicts.jsonl")
    figures = read_json(directory / "squad/base/comparison.json")
    assert sum(figures["outcomes"].values()) == len(rows) == 25
    assert sum(each["n"] for each in figures["by_category"].values()) == figures["win_rate"]["n"]
    assert (figures["judge"], figures["system"], figures["reference"]) == (
        "closed-world",
        "squad",
        "base",
    )
    assert figures["copy_rate"]["value"] == sum(row["unchanged"] for row in rows) / len(rows)
    assert figures["alpaca_eval"]["rate"] is None and figures["alpaca_eval"]["reason"]
    curve = pd.read_csv(directory / "thresholds.csv")
    last = curve.to_dict("records")[-1]
    assert last["threshold"] == 0.5
    assert last["win_rate"] == pytest.approx(figures["win_rate"]["value"])


def test_verdicts_are_asked_for_once_for_all_comparisons(finished: Path) -> None:
    usage = read_json(
        finished / "results/judged/closed-world/synthetic_mixed/closed-world-base.usage.json"
    )
    replies = [
        reply
        for path in (finished / JUDGED.format("synthetic_mixed")).rglob("verdicts.jsonl")
        for row in read_rows(path)
        for reply in (row["first_reply"], row["second_reply"])
        if reply is not None
    ]
    assert 0 < usage["completions"] < len(replies)
    assert usage["failed"] == {}


def test_the_reproduction_judges_first_sentences_of_four_categories(finished: Path) -> None:
    [path] = finished.glob(
        "results/reproduction/*/categories-*/*/*/squad-paper/base/verdicts.jsonl"
    )
    inputs = by_id(read_rows(finished / "results/inputs/categories-miniature.jsonl"))
    rows = read_rows(path)
    assert {inputs[row["id"]]["category_id"] for row in rows} <= {"2", "3", "6", "7"}
    answers = by_id(read_rows(finished / ALIGNED.format("categories-miniature", "squad-paper")))
    for row in rows:
        assert row["length"] <= answers[row["id"]]["aligned_response"].find(".") + 1 or (
            "." not in answers[row["id"]]["aligned_response"]
        )


def test_a_changed_judge_is_refused_before_its_verdicts_are_deleted(finished: Path) -> None:
    recipe = finished / "config/judges/closed-world.yaml"
    before = recipe.read_text()
    verdicts = finished / JUDGED.format("synthetic_mixed") / "squad/base/verdicts.jsonl"
    try:
        recipe.write_text(before.replace("first: m, second: M", "first: M, second: m"))
        told = fail_snakemake(finished, "results/judged/all")
        assert "the judge has changed (labels) since the verdicts in" in told
        assert "Traceback" not in told
        assert verdicts.exists()
    finally:
        recipe.write_text(before)
    assert "Nothing to be done" in run_snakemake(finished, *TARGETS)


def test_the_report_shows_every_criterion_and_system(finished: Path) -> None:
    page = (finished / "results/report.html").read_text()
    for name in [*CRITERIA, *SYSTEMS, "bert-miniature", "gpt2-miniature", "categories-miniature"]:
        assert name in page
    drawn = {path.stem for path in (finished / "results/figures").rglob("*.svg")}
    kinds = {"counts", "similarity", "roc", "reliability", "confusion", "losses", "turns", "clean"}
    assert drawn >= kinds
    assert page.count("<svg") == len(list((finished / "results/figures").rglob("*.svg")))


def test_snakemake_reports_the_same_figures(finished: Path) -> None:
    run_snakemake(finished, "--report=snakemake.html", "results/report.html")
    page = (finished / "snakemake.html").read_text()
    for path in (finished / "results/figures").rglob("*.svg"):
        assert path.relative_to(finished).as_posix() in page


def test_models_say_what_they_are(finished: Path) -> None:
    for path in (finished / "results").glob("*/*/*/metrics.json"):
        files = {file.name for file in (path.parent / "model").iterdir()}
        assert {"model.safetensors", "tokenizer.json", "config.json"} <= files
        assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in files)
    metrics = read_json(finished / "results/inspectors/bert-miniature/ethical/metrics.json")
    assert metrics["n"] == sum(metrics["confusion"].values())


def test_a_card_lies_beside_every_model(finished: Path) -> None:
    run_snakemake(finished, "results/inspectors/all")
    models = {
        *(f"inspectors/bert-miniature/{criterion}" for criterion in CRITERIA),
        *(f"aligners/gpt2-miniature/{aligner}" for aligner in [*CRITERIA, "conditioned"]),
    }
    cards = {
        path.parent.relative_to(finished / "results").as_posix(): ModelCard.load(path)
        for path in (finished / "results").glob("*/*/*/README.md")
    }
    assert set(cards) == models
    for model, card in cards.items():
        kind, _, name = model.split("/")
        assert card.data.model_name == f"{name} {kind.removesuffix('s')}"
        assert card.data.eval_results


def test_other_hardware_reruns_nothing(finished: Path) -> None:
    gpus = "--set-resources=train_aligner:gpu=4"
    assert "Nothing to be done" in run_snakemake(finished, "-n", gpus, *TARGETS)


def test_a_comment_reruns_nothing_and_code_reruns_its_rule(finished: Path) -> None:
    program = finished / "workflow/scripts/write_alpaca_eval.py"
    before = program.read_text()
    try:
        program.write_text("# A comment.\n" + before)
        assert "Nothing to be done" in run_snakemake(finished, "-n", *TARGETS)
        program.write_text(before.replace("rows, seed)", "rows, seed + 1)"))
        planned = run_snakemake(finished, "-n", *TARGETS)
        assert re.search(r"write_alpaca_eval\s+36\b", planned)
        assert "train_aligner" not in planned
    finally:
        program.write_text(before)


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished project, to change things in; its files keep their times."""
    project = tmp_path / "copied"
    shutil.copytree(finished, project, symlinks=True)
    return project


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text in a file; it has to be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_decides_nothing_reruns_nothing(copied: Path) -> None:
    library = copied / "workflow/scripts/aligners"
    edit(library / "core/progress.py", "{percentage:3.0f}%", "{percentage:4.0f}%")
    edit(library / "core/plots.py", "linewidth", "lw")
    edit(library / "publishing/model_card.py", "DECIDES = False", "DECIDES = False\nMORE = 1")
    # A module that is moved, with the imports of it.
    (library / "synthesis/near_duplicates.py").rename(library / "core/duplicates.py")
    for path in library.parent.rglob("*.py"):
        text = path.read_text()
        path.write_text(text.replace("synthesis.near_duplicates", "core.duplicates"))
    commented = [*(copied / "config").rglob("*.yaml"), *(copied / "resources").rglob("*.yaml")]
    assert {path.parent.name for path in commented} >= {"llms", "criteria", "closed_world"}
    for path in commented:
        path.write_text(f"# A comment.\n{path.read_text()}\n# Another.\n")
    assert "Nothing to be done" in run_snakemake(copied, "-n", *TARGETS)


def test_a_number_in_the_loss_reruns_the_trainings_and_what_follows(copied: Path) -> None:
    trainer = copied / "workflow/scripts/aligners/training/trainer.py"
    edit(trainer, 'reduction="sum")', 'reduction="sum") * 2')
    planned = run_snakemake(copied, "-n", *TARGETS)
    changed = re.search(r"params have changed since last execution:\s+(.*)", planned)
    assert changed and set(changed[1].split(", ")) == {"train_aligner", "train_inspector"}
    assert not re.search(r"^(generate|filter|build|split)_", planned, re.MULTILINE)


def test_seeds_alone_decide_the_rows(finished: Path) -> None:
    """Rows are joined by id: the response stands under the question it answers."""
    inputs = by_id(read_rows(finished / "results/inputs/categories-miniature.jsonl"))
    rows = read_rows(finished / "results/responses/categories-miniature/closed-world-base.jsonl")
    assert all(inputs[row["id"]]["question"] == row["question"] for row in rows)
    assert json.dumps(sorted(inputs)) == json.dumps(sorted(row["id"] for row in rows))
