"""Small results/ and logs/ directories for the report, with markup in their texts."""

import dataclasses
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import draw_figures
import pandas as pd
import write_report
import yaml
from compare_systems import as_row
from projects import MINIATURE
from turns import make_row, make_turn

from aligners.configuration import results
from aligners.configuration.experiment_checks import validate_experiment
from aligners.core.counts import filter_result
from aligners.core.rows import Row, read_json, write_json, write_rows
from aligners.statistics.comparison import compare
from aligners.statistics.paired_tests import paired_tests

CRITERIA = ["ethical", "factuality"]
EVIL = "<script>document.title = 'taken over'</script> & 10 < 20"
# A text that turns its direction, controls a terminal and has a space without width.
HIDDEN = "When\u202e did\x1b[2J it\u200b?"
SHOWN = r"When\u202e did\x1b[2J it\u200b?"
# Changes to the miniature configuration.
CHANGES = {"datasets": ["synthetic_mixed"], "external": [], "systems": ["squad"]}
NAMES = {
    "judge": ["closed-world"],
    "dataset": CHANGES["datasets"],
    "llm": ["closed-world-base"],
    "backbone": ["gpt2-miniature"],
    "system": [*CRITERIA, "squad"],
    "reference": ["base", "finetuned"],
}
[CORRECTIONS] = results.ALIGNED.fill(system="squad").paths(NAMES)


def write_counts(rows: list[Row], dropped: list[Row], counts: Path, beside: Path) -> None:
    """Write the counts of a step and its dropped rows, as the programs do."""
    with filter_result(counts, beside) as result:
        result.kept = len(rows)
        for row in dropped:
            result.drop(row, row["reason"])


def pair_rows(criterion: str) -> list[Row]:
    """Return pairs, one of them with markup and one unchanged."""
    texts = [("It is Mars.", "It is Venus."), (EVIL, f"{EVIL} indeed"), ("Yes.", "Yes.")]
    return [
        {
            "id": f"{criterion}{number}",
            "question": f"Question {number}?",
            "response": before,
            "critique": f"It is wrong. {HIDDEN}",
            "aligned_response": after,
            "similarity": 0.3 * number,
        }
        for number, (before, after) in enumerate(texts)
    ]


def write_synthetic(criterion: str) -> None:
    """Write a criterion's pairs with the counts of every step."""
    directory = Path("results/synthetic") / criterion
    rows = pair_rows(criterion)
    dropped = [{"id": "x", "question": f"{EVIL}?", "reason": "markup"}]
    for step in ("topics", "topics_deduplicated", "questions", "split", "pairs", "pairs_filtered"):
        counts, beside = (directory / f"{step}.{end}" for end in ("counts.json", "dropped.jsonl"))
        write_counts(rows, dropped, counts, beside)
    for step in ("aligner", "inspector"):
        beside = directory / step / "dropped.jsonl"
        surplus = [{**row, "id": f"{row['id']}+", "reason": "over_limit"} for row in rows[:2]]
        write_counts(rows, surplus, directory / step / "counts.json", beside)
        for side, count in (("train", 3), ("validation", 1), ("test", 1)):
            write_rows(directory / step / f"{side}.jsonl", rows[:count])
    write_rows(directory / "pairs_filtered.jsonl", rows)
    write_rows(directory / "pairs_similarity.jsonl", rows)


def write_models(criterion: str) -> None:
    """Write metrics, test scores and training records of an inspector and an aligner."""
    scores = [0.1, 0.4, 0.35, 0.8, 0.9, 0.95]
    inspector = Path("results/inspectors/bert-miniature") / criterion
    write_rows(
        inspector / "test_scores.jsonl",
        [
            {"id": f"{number}", "label": int(number in (1, 3, 4, 5)), "score": score}
            for number, score in enumerate(scores)
        ],
    )
    losses = [{"step": step, "train_loss": 3 / step} for step in range(1, 9)]
    losses += [{"step": step, "validation_loss": loss} for step, loss in ((4, 0.9), (8, 1.1))]
    metrics: dict[str, Any] = {
        "train_rows": 30, "validation_loss": 0.9, "best_step": 4, "steps": 8, "losses": losses,
        "parameters": 650_000,
    }  # fmt: skip
    own = {"accuracy": 5 / 6, "roc_auc": 0.875, "ece": 0.2, "ece_uncalibrated": 0.3, "brier": 0.1,
           "n": len(scores), "temperature": 1.5, "threshold": 0.375}  # fmt: skip
    write_json(inspector / "metrics.json", {**metrics, **own})
    aligner = Path("results/aligners/gpt2-miniature") / criterion
    write_json(aligner / "metrics.json", {**metrics, "dropped": 2})
    training = {
        "versions": {"python": "3.11.7", "torch": "2.13.0"},
        "hardware": {"device": "cpu", "processes": 1, "dtype": "float32"},
        "hours": 0.1,
        "tokens_per_second": 1234.5,
    }
    for directory in (inspector, aligner):
        write_json(directory / "model/training.json", training)


def write_corrections() -> None:
    """Write a squad's rows: one changed, one with a rejected correction, one without a turn."""
    scores = {"ethical": 0.2, "factuality": 0.9}
    accepted = make_turn("ethical", scores, {"ethical": 0.8}, text="Nobody.")
    rejected = make_turn("ethical", scores, {"ethical": 0.1}, "rose_too_little", "Over there.")
    rows = [
        make_row("a", [accepted], question="Who?", response=EVIL, aligned_response="Nobody."),
        make_row("b", [rejected], question="Where?", response="There.", aligned_response="There."),
        make_row("c", [], question=HIDDEN, response="Then.", aligned_response=f"Then. {HIDDEN}"),
    ]
    write_rows(CORRECTIONS, rows)
    inputs = [{"id": row["id"], "category": EVIL} for row in rows]
    write_rows(Path("results/inputs/synthetic_mixed.jsonl"), inputs)
    # The judge prefers the response of the first row.
    verdicts = [
        {"id": row["id"], "category": EVIL, "category_id": None, "first_order": preference,
         "second_order": 0.4, "length": 9, "reference_length": 9, "unchanged": False,
         "identical": False}
        for row, preference in zip(rows, (0.5, 0.6, 0.6), strict=True)
    ]  # fmt: skip
    [path] = results.VERDICTS.fill(system="squad", reference="base").paths(NAMES)
    write_rows(path, verdicts)
    llms = ("closed-world-base", "closed-world-finetuned")
    for path in ("inputs/synthetic_mixed", *(f"responses/synthetic_mixed/{llm}" for llm in llms)):
        write_counts(
            rows,
            [],
            Path(f"results/{path}.counts.json"),
            Path(f"results/{path}.dropped.jsonl"),
        )


def write_judged() -> None:
    """Write the rates of all systems; there are too few questions for a rate at equal length."""
    groups: dict[tuple[str, ...], dict[str, pd.DataFrame]] = {}
    for names in results.COMPARISON.combinations(NAMES):
        system, reference = names["system"], names["reference"]
        better = int(system == "squad")
        verdicts = pd.DataFrame(
            {
                "id": [f"{row}" for row in range(8)],
                "category": [HIDDEN, EVIL] * 4,
                "first_order": [1.0, 1.0, better, 1.0, 0.5, 1.0, None, better],
                "second_order": [1.0, 0.0, better, 1.0, 0.5, 1.0, 1.0, better],
                "length": 30,
                "reference_length": range(20, 28),
                "unchanged": False,
                "identical": False,
            }
        )
        groups.setdefault((names["backbone"], reference), {})[system] = verdicts
        figures = compare(verdicts, seed=0, against_base=reference == "base")
        alpaca_eval = {
            "rate": 0.612 if system == "squad" else None,
            "standard_error": 0.013,
            "reason": None,
        }
        write_json(
            results.COMPARISON.path(**names),
            {**names, **dataclasses.asdict(figures), "alpaca_eval": alpaca_eval},
        )
    [tests] = results.PAIRED_TESTS.paths(NAMES)
    write_json(tests, [as_row(test) for test in paired_tests(groups, seed=0)])
    [thresholds] = results.THRESHOLDS.paths(NAMES)
    thresholds.write_text(
        "offset,acted,changed,win_rate,low,high,n\n-1,0,0,0.5,0.5,0.5,8\n0,1,0.9,0.7,0.5,0.9,8\n"
    )


def write_scorecard() -> None:
    """Write the rates by the closed world's truth for the LLM and its squad."""
    rate = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 99}
    scores = {
        "clean_share": {"initial": rate, "squad": rate},
        "harm_rate": {"squad": rate},
        "harm_by_criterion": {"squad": dict.fromkeys(CRITERIA, rate)},
        "text_lost": {"squad": rate},
    }
    llms = {llm: {**scores, "unknown_facts": scores} for llm in NAMES["llm"]}
    write_json(results.SCORECARD.path(), {"datasets": {"all": llms}})


def write_second_seed() -> None:
    """Write the results of the training seed 1: those of the first with a few other numbers."""
    for stage in ("inspectors", "aligners", "aligned", "judged"):
        for model in list(Path("results", stage).glob("**/*-miniature")):
            shutil.copytree(model, f"{model}.seed1")
    for path in Path("results/inspectors").glob("*.seed1/*/metrics.json"):
        write_json(path, {**read_json(path), "accuracy": 3 / 6})
    for path in Path("results/judged").glob("**/*.seed1/**/comparison.json"):
        comparison = read_json(path)
        rate = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 7}
        seed = {"backbone": "gpt2-miniature.seed1", "win_rate": rate}
        write_json(path, {**comparison, **seed})
    spread = {"mean": 0.75, "sd": 0.05, "min": 0.7, "max": 0.8, "seeds": 2}
    scores = {
        "clean_share": {"squad": spread},
        "harm_rate": {"squad": spread},
        "harm_by_criterion": {"squad": dict.fromkeys(CRITERIA, spread)},
        "text_lost": {"squad": spread},
    }
    llms = {llm: {**scores, "unknown_facts": scores} for llm in NAMES["llm"]}
    scorecard = read_json(results.SCORECARD.path())
    seeds = {"inspectors": {}, "responses": {}, "datasets": {"all": llms}}
    write_json(results.SCORECARD.path(), {**scorecard, "seeds": seeds})


def write_by_products() -> None:
    """Write benchmark and usage files, including those of a shard and of an earlier run."""
    write_json(Path("results/experiment.json"), {"name": "miniature"})
    header = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    for name, line in {
        "train_aligner/gpt2-miniature/ethical": "75.5\t0:01:15\t800\t1\t1\t1\t0\t0\t9\t70.0\n",
        "train_inspector/earlier-run": "99.0\t0:01:39\t900\t1\t1\t1\t0\t0\t9\t70.0\n",
        "list_stage/aligned": "0.1\t0:00:00\t-\t-\t-\t-\t-\t-\t-\t-\n",
    }.items():
        path = Path(f"logs/{name}.benchmark.tsv")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + line)
    os.utime("logs/train_inspector/earlier-run.benchmark.tsv", (0, 0))
    usage = {
        "completions": 10, "attempts": 11, "tokens_in": 1000, "tokens_out": 200, "failed": {},
        "job_seconds": 2.0, "latency_seconds": 2.0, "cost": 1.25, "currency": "EUR",
    }  # fmt: skip
    for name in ("pairs", "pairs/0", "pairs/1", "responses/llm.5/0", "responses/llm.5/1"):
        write_json(Path(f"results/synthetic/ethical/{name}.usage.json"), usage)


def write_results(by_products: bool) -> None:
    """Write all files that the report reads into the working directory.

    Args:
        by_products: whether to write benchmark and usage files too.
    """
    for criterion in CRITERIA:
        write_synthetic(criterion)
        write_models(criterion)
    write_corrections()
    write_judged()
    write_scorecard()
    for stage in results.STAGES:
        path = results.STAGE_LIST.path(stage=stage)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    results.STAGE_LIST.path(stage="aligned").write_text(f"{'0' * 64}  {CORRECTIONS}\n")
    if by_products:
        write_by_products()


def make_page(judged: bool, seeds: Sequence[int] = (0,)) -> Path:
    """Draw the figures and write the page, like the rules, and return its path.

    Args:
        judged: whether a judge is configured, so that the page has comparisons.
        seeds: the training seeds.
    """
    config = yaml.safe_load(Path(MINIATURE).read_text()) | CHANGES | {"seeds": list(seeds)}
    config["judges"] = config["judges"] if judged else []
    configuration = validate_experiment(config, Path(MINIATURE)).model_dump_json()
    draw_figures.main(configuration=configuration)
    page = results.REPORT.path()
    write_report.main(configuration=configuration, logs=Path("logs"), output=page)
    return page
