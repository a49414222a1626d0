"""The whole workflow, run on the closed world in miniature."""

import re
import shutil
import subprocess
from collections import Counter, defaultdict
from pathlib import Path

import pandas as pd
import pytest
from datasets import load_dataset
from huggingface_hub import ModelCard
from projects import MINIATURE, fail_snakemake, make_project, run_snakemake
from yaml_edits import set_keys

from aligners.closed_world.plans import PLANTED, WRAPPINGS
from aligners.configuration.systems import SQUADS
from aligners.core.rows import by_id, read_json, read_rows, row_id

TARGETS = [
    "results/alpaca_eval/all",
    "results/synthetic/all",
    "results/aligners/all",
    "results/closed_world/scorecard.json",
    "results/judged/all",
    "results/synthetic/ethical/pairs_checked.json",
    "results/tables/all",
    "results/reproduction/closed-world/win_rates.md",
    "results/report.html",
]
CRITERIA = ["ethical", "factuality"]
EXTERNAL = "results/external/categories-miniature/closed-world-base/ji-et-al-miniature.jsonl"
SYSTEMS = ["squad", "squad-paper", "conditioned", "squad-conditioned"]
JUDGED = "results/judged/closed-world/{}/closed-world-base/gpt2-miniature"
ALIGNED = "results/aligned/{}/closed-world-base/gpt2-miniature/{}.jsonl"


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which the miniature workflow has finished."""
    project = make_project(tmp_path_factory.mktemp("workflow"))
    run_snakemake(project, *TARGETS)
    return project


def test_second_run_has_nothing_to_do(finished: Path) -> None:
    assert "Nothing to be done" in run_snakemake(finished, *TARGETS)


def test_the_judge_prefers_the_corrections_of_the_teacher(finished: Path) -> None:
    found = read_json(finished / "results/synthetic/ethical/pairs_checked.json")
    rate = found["judges"]["closed-world"]["correction_preferred"]
    assert 0 < found["pairs"] <= 50
    assert rate["n"] == found["pairs"] - found["judges"]["closed-world"]["no_verdict"]
    assert rate["low"] > 0.5


def test_every_alpaca_eval_file_is_listed_with_a_checksum(finished: Path) -> None:
    lines = (finished / "results/alpaca_eval/all").read_text().splitlines()
    # 2 data sets x 6 systems x 3 references x 2 files.
    assert len(lines) == 72
    assert all(re.fullmatch(r"[0-9a-f]{64}  results/alpaca_eval/\S+\.json", line) for line in lines)


def test_the_conditioned_aligner_is_listed_with_the_others(finished: Path) -> None:
    listed = (finished / "results/aligners/all").read_text()
    for aligner in [*CRITERIA, "conditioned"]:
        assert f"results/aligners/gpt2-miniature/{aligner}/model/model.safetensors" in listed
    assert "ji-et-al" not in listed
    # The time of a training differs between equal runs.
    assert re.search(r"^#  \S+/ethical/model/training\.json$", listed, re.MULTILINE)
    checked = subprocess.run(
        ["sha256sum", "--check", "--quiet", "results/aligners/all"], cwd=finished, check=False
    )
    assert checked.returncode == 0


@pytest.mark.parametrize("systems", [["squad", "squad-paper"], ["squad-conditioned"]])
def test_the_conditioned_aligner_is_trained_only_if_a_system_needs_it(
    project: Path, systems: list[str]
) -> None:
    set_keys(project / MINIATURE, systems=systems)
    needed = "squad-conditioned" in systems
    for target in ("results/aligners/all", "results/alpaca_eval/all"):
        planned = run_snakemake(project, "-n", target)
        assert ("aligner gpt2-miniature: conditioned" in planned) == needed


def test_llms_write_the_first_responses_only_if_they_are_named(project: Path) -> None:
    llms, target = ["closed-world-base", "closed-world-finetuned"], "results/synthetic/all"
    planned = run_snakemake(project, "-n", "-p", target)
    assert "generate_pairs.py" in planned
    assert "generate_first_responses" not in planned and "--responses" not in planned
    set_keys(project / MINIATURE, responses_by=llms)
    planned = run_snakemake(project, "-n", "-p", target)
    for criterion in CRITERIA:
        for shard in ("0", "1"):
            files = [f"results/synthetic/{criterion}/responses/{llm}/{shard}.jsonl" for llm in llms]
            assert f"--responses {' '.join(files)} 2>" in planned
            for llm, file in zip(llms, files, strict=True):
                assert re.search(
                    rf"generate_first_responses\.py --llm {llm} --responses-by {' '.join(llms)} "
                    rf".*{criterion}/questions\.jsonl --shard {shard} .*--output {file} ",
                    planned,
                )


def test_counts_are_the_numbers_of_rows_in_the_files(finished: Path) -> None:
    paths = list((finished / "results").rglob("*.counts.json"))
    assert len(paths) >= 2 * 6
    for path in paths:
        rows, dropped = (
            read_rows(path.with_name(path.name.replace("counts.json", ending)))
            for ending in ("jsonl", "dropped.jsonl")
        )
        counts = read_json(path)
        assert counts["out"] == len(rows), path
        assert counts["dropped"] == Counter(row["reason"] for row in dropped), path


def test_each_step_reads_all_rows_of_the_step_before(finished: Path) -> None:
    for criterion in CRITERIA:
        counts = {
            step: read_json(finished / f"results/synthetic/{criterion}/{step}counts.json")
            for step in ("topics.", "topics_deduplicated.", "questions.", "split.", "pairs.",
                         "pairs_filtered.", "inspector/")
        }  # fmt: skip
        for earlier, later in (
            ("topics.", "topics_deduplicated."),
            ("questions.", "split."),
            ("questions.", "pairs."),
            ("pairs.", "pairs_filtered."),
            ("pairs_filtered.", "inspector/"),
        ):
            assert counts[earlier]["out"] == counts[later]["in"] > 0, (earlier, later)


def test_all_questions_of_a_group_are_on_one_side_of_the_split(finished: Path) -> None:
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


def test_training_sets_load_with_the_datasets_library(finished: Path, tmp_path: Path) -> None:
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
            if system in ("squad", "squad-conditioned") and step["accepted"]:
                before, after = step["margins_before"], step["margins_after"]
                assert after[step["criterion"]] >= before[step["criterion"]] + 1
                assert min(after.values()) > min(before.values())
        if system.startswith("squad"):
            assert set(row["scores"]) == set(CRITERIA)
            assert (row["reason"] is None) == bool(row["trace"])
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


def test_references_are_the_responses_of_the_named_llm(finished: Path) -> None:
    comparison = finished / "results/alpaca_eval/synthetic_mixed/closed-world-base/gpt2-miniature"
    for reference, source in {
        "base": "results/responses/synthetic_mixed/closed-world-base.jsonl",
        "finetuned": "results/responses/synthetic_mixed/closed-world-finetuned.jsonl",
    }.items():
        responses = {row["question"]: row["response"] for row in read_rows(finished / source)}
        rows = read_json(comparison / "squad" / reference / "reference_outputs.json")
        assert rows
        for row in rows:
            assert row["output"] == responses[row["instruction"]]


def test_the_scorecard_contains_all_figures(finished: Path) -> None:
    scores = read_json(finished / "results/closed_world/scorecard.json")
    assert set(scores["inspectors"]) == set(CRITERIA)
    for metrics in scores["inspectors"].values():
        assert set(metrics) == {"accuracy", "roc_auc", "ece", "n"}
    assert set(scores["filters"]) == set(PLANTED)
    for score in scores["filters"].values():
        assert set(score) == {"precision", "recall", "n", "recall_held_out", "n_held_out"}
    assert set(scores["wrapped_pairs"]) == set(WRAPPINGS)
    for found in scores["responses"]["closed-world-base"].values():
        assert set(found) == set(CRITERIA)
    systems = {*CRITERIA, "ji-et-al-miniature", *SYSTEMS}
    for pool in ("synthetic_mixed", "categories-miniature", "all"):
        known = scores["datasets"][pool]["closed-world-base"]
        for part in (known, known["unknown_facts"]):
            assert set(part["clean_share"]) == systems | {"initial", "finetuned"}
            assert set(part["harm_rate"]) == systems
            assert set(part["text_lost"]) == systems
            for harm in part["harm_by_criterion"].values():
                assert set(harm) == set(CRITERIA)
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


def test_a_comparison_counts_all_questions_and_contains_its_names(finished: Path) -> None:
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
    assert last["offset"] == 0
    assert last["win_rate"] == pytest.approx(figures["win_rate"]["value"])


def test_equal_comparisons_share_one_verdict(finished: Path) -> None:
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
    assert {inputs[row["id"]]["category_id"] for row in rows} == {"2", "3", "6", "7"}
    corrected = by_id(read_rows(finished / ALIGNED.format("categories-miniature", "squad-paper")))
    for row in rows:
        # Several dots, which a model after a few steps may write, are no full stop.
        first_sentence, *_ = re.split(r"(?<!\.)\.(?!\.)", corrected[row["id"]]["aligned_response"])
        assert row["length"] <= len(first_sentence) + 1
    external = path.parents[1] / "ji-et-al-miniature/verdicts.jsonl"
    whole = by_id(read_rows(finished / EXTERNAL))
    for row in read_rows(external):
        assert row["reference_length"] == len(whole[row["id"]]["aligned_response"])


def test_a_changed_judge_stops_the_run_before_its_verdicts_are_deleted(finished: Path) -> None:
    recipe = finished / "config/judges/closed-world.yaml"
    before = recipe.read_text()
    verdicts = finished / JUDGED.format("synthetic_mixed") / "squad/base/verdicts.jsonl"
    try:
        recipe.write_text(before.replace("first: m, second: M", "first: M, second: m"))
        output = fail_snakemake(finished, "results/judged/all")
        assert "labels" in output and "results/judged/closed-world" in output
        assert "Traceback" not in output
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


def test_snakemakes_own_report_has_the_same_figures(finished: Path) -> None:
    run_snakemake(finished, "--report=snakemake.html", "results/report.html")
    page = (finished / "snakemake.html").read_text()
    figures = list((finished / "results/figures").rglob("*.svg"))
    assert figures
    for path in figures:
        assert path.relative_to(finished).as_posix() in page


def test_model_directories_contain_safetensors_and_a_tokenizer(finished: Path) -> None:
    paths = list((finished / "results").glob("*/*/*/metrics.json"))
    assert len(paths) == 2 * len(CRITERIA) + 2
    for path in paths:
        files = {file.name for file in (path.parent / "model").iterdir()}
        assert {"model.safetensors", "tokenizer.json", "config.json"} <= files
        assert not any(name.endswith((".bin", ".pt", ".pkl")) for name in files)
    metrics = read_json(finished / "results/inspectors/bert-miniature/ethical/metrics.json")
    assert metrics["n"] == sum(metrics["confusion"].values())


def test_every_model_has_a_card(finished: Path) -> None:
    run_snakemake(finished, "results/inspectors/all")
    models = {
        *(f"inspectors/bert-miniature/{criterion}" for criterion in CRITERIA),
        *(f"aligners/gpt2-miniature/{aligner}" for aligner in [*CRITERIA, "conditioned"]),
    }
    cards = {
        path.parent.relative_to(finished / "results").as_posix(): ModelCard.load(path)
        for path in (finished / "results").glob("*/*/*/README.md")
    }
    squads = {name: cards.pop(name) for name in list(cards) if name.startswith("squads/")}
    assert {name.split("/")[-1] for name in squads} == set(SQUADS)
    assert all(", n=" in card.text for card in squads.values())
    assert set(cards) == models
    for model, card in cards.items():
        kind, _, name = model.split("/")
        assert card.data.model_name == f"{name} {kind.removesuffix('s')}"
        assert card.data.eval_results


def test_other_resources_rerun_nothing(finished: Path) -> None:
    gpus = "--set-resources=train_aligner:gpu=4"
    assert "Nothing to be done" in run_snakemake(finished, "-n", gpus, *TARGETS)


def test_a_comment_reruns_nothing_and_changed_code_reruns_its_rule(finished: Path) -> None:
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


def test_an_added_seed_trains_only_its_own_models(finished: Path) -> None:
    config = finished / MINIATURE
    before = config.read_text()
    try:
        config.write_text(before + "seeds: [0]\n")
        # The report shows the keys of the configuration, so it would be written again.
        assert "Nothing to be done" in run_snakemake(finished, "-n", *TARGETS[:-1])
        config.write_text(before + "seeds: [0, 5]\n")
        planned = run_snakemake(finished, "-n", *TARGETS[:-1])
    finally:
        config.write_text(before)
    found = re.findall(r"^(\w+) +(\d+)$", planned, re.MULTILINE)
    jobs = {name: int(count) for name, count in found}
    datasets, systems, references = 2, 6, 3
    del jobs["total"]
    assert jobs == {
        "train_inspector": 2,
        "train_aligner": 3,  # of the criteria, and the conditioned one; no external aligner
        "write_aligner_card": 3,
        "assemble_squad": 3,
        "apply_aligner": datasets * 3,
        "apply_squad": datasets * 3,
        "write_alpaca_eval": datasets * systems * references,
        # These compare all systems. An LLM's earlier verdicts are in its ledger.
        "judge_comparisons": datasets,
        "compare_systems": datasets,
        "trace_thresholds": datasets,
        "write_tables": 1,
        "score_closed_world": 1,
        "list_stage": 4,
    }
    trained = set(re.findall(r"Training (?:inspector|aligner) (\S+):", planned))
    assert trained == {"bert-miniature.seed5", "gpt2-miniature.seed5"}


@pytest.fixture
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished project, which a test may change; the files keep their times."""
    project = tmp_path / "copied"
    shutil.copytree(finished, project, symlinks=True)
    return project


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text in a file, which must contain it."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_changes_that_do_not_decide_results_rerun_nothing(copied: Path) -> None:
    library = copied / "workflow/scripts/aligners"
    edit(library / "core/progress.py", "{percentage:3.0f}%", "{percentage:4.0f}%")
    edit(library / "core/plots.py", "linewidth", "lw")
    edit(
        library / "publishing/model_card.py",
        "AFFECTS_RESULTS = False",
        "AFFECTS_RESULTS = False\nMORE = 1",
    )
    # Move a module, and change its imports.
    (library / "synthesis/near_duplicates.py").rename(library / "core/duplicates.py")
    for path in library.parent.rglob("*.py"):
        text = path.read_text()
        path.write_text(text.replace("synthesis.near_duplicates", "core.duplicates"))
    commented = [*(copied / "config").rglob("*.yaml"), *(copied / "resources").rglob("*.yaml")]
    assert {path.parent.name for path in commented} >= {"llms", "criteria", "closed_world"}
    for path in commented:
        path.write_text(f"# A comment.\n{path.read_text()}\n# Another.\n")
    assert "Nothing to be done" in run_snakemake(copied, "-n", *TARGETS)


def test_a_changed_loss_reruns_the_trainings_and_later_rules(copied: Path) -> None:
    trainer = copied / "workflow/scripts/aligners/training/trainer.py"
    edit(trainer, 'reduction="sum")', 'reduction="sum") * 2')
    planned = run_snakemake(copied, "-n", *TARGETS)
    changed = re.search(r"params have changed since last execution:\s+(.*)", planned)
    assert changed and set(changed[1].split(", ")) == {"train_aligner", "train_inspector"}
    assert not re.search(r"^(generate|filter|build|split)_", planned, re.MULTILINE)


def test_responses_have_the_ids_and_questions_of_the_inputs(finished: Path) -> None:
    inputs = by_id(read_rows(finished / "results/inputs/categories-miniature.jsonl"))
    rows = read_rows(finished / "results/responses/categories-miniature/closed-world-base.jsonl")
    assert all(inputs[row["id"]]["question"] == row["question"] for row in rows)
    assert sorted(inputs) == sorted(row["id"] for row in rows)
