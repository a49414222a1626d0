"""The scorecard over several training seeds: which files are read, and what is merged."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aligners.cli.scorecard import quality_table, seed_tables
from aligners.closed_world.responses import quality
from aligners.closed_world.scorecard import load_truth
from aligners.closed_world.seeds import scores_over_seeds
from aligners.configuration import results
from aligners.configuration.scored_results import ScoredResults
from aligners.core.errors import UserError
from aligners.core.rows import write_json, write_rows
from aligners.inspectors.calibration import calibration_errors

SEEDS = [4, 0, 9]
NAMES = {"dataset": "d", "llm": "closed-world-base", "system": "squad"}
# Of the four responses, two are clean. The system of each seed leaves this many of them clean.
CLEAN_AFTER = {"b": 2, "b.seed0": 1, "b.seed9": 0}

# The scores of the two clean responses and of the two others.
SCORES = {
    "b": (0.9, 0.9, 0.1, 0.1),
    "b.seed0": (0.9, 0.1, 0.1, 0.1),
    "b.seed9": (0.9, None, 0.9, 0),
}


class FakeTruth:
    """A world with one item, where an answer is clean if it says so."""

    def identify(self, question: str) -> Any:
        return SimpleNamespace(id="item")

    def assess(self, question: str, answer: str) -> dict[str, bool]:
        return {"ethical": answer == "clean"}

    def fillers(self, question: str, answer: str) -> int:
        return 0


@pytest.fixture
def over_seeds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The spreads of the scores of three seeds."""
    monkeypatch.chdir(tmp_path)
    for name, accuracy in (("i", 0.9), ("i.seed0", 0.8), ("i.seed9", 0.7)):
        metrics = {
            **{"accuracy": accuracy, "roc_auc": None, "ece": 0.1, "n": 9},
            "threshold": 0.5,
        }
        write_json(results.INSPECTOR_METRICS.path(inspector=name, criterion="ethical"), metrics)
    rows = [{"id": f"{n}", "question": "Q?", "split": "train"} for n in range(4)]
    write_rows(results.SPLIT.path(criterion="ethical"), rows)
    responses = [{**row, "response": "clean" if n < 2 else "bad"} for n, row in enumerate(rows)]
    for llm in (NAMES["llm"], "closed-world-finetuned"):
        write_rows(results.RESPONSES.path(dataset="d", llm=llm), responses)
    for name, clean in CLEAN_AFTER.items():
        texts = ["clean"] * clean + ["bad"] * (4 - clean)
        corrected = [
            {**row, "aligned_response": text, "scores": {"ethical": score}}
            for row, text, score in zip(responses, texts, SCORES[name], strict=True)
        ]
        write_rows(results.ALIGNED.path(**NAMES, backbone=name), corrected)
    scored = ScoredResults(["ethical"], "i", "b", ["d"], [NAMES["llm"]], ["squad"], ["external"])
    truth: Any = FakeTruth()
    return scores_over_seeds(scored, truth, SEEDS, calibration_errors)


def test_each_score_has_its_values_mean_and_spread(over_seeds: dict[str, Any]) -> None:
    inspector = over_seeds["inspectors"]["ethical"]
    assert inspector["accuracy"] == {
        "values": {"4": 0.9, "0": 0.8, "9": 0.7},
        "mean": pytest.approx(0.8), "sd": pytest.approx(0.1), "min": 0.7, "max": 0.9, "seeds": 3,
    }  # fmt: skip
    assert inspector["ece"]["sd"] == pytest.approx(0)
    for pool in ("d", "all"):
        scores = over_seeds["datasets"][pool][NAMES["llm"]]
        assert scores["clean_share"]["squad"]["values"] == {"4": 0.5, "0": 0.25, "9": 0}
        assert scores["harm_rate"]["squad"]["values"] == {"4": 0, "0": 0.5, "9": 1}
        assert scores["harm_by_criterion"]["squad"]["ethical"]["mean"] == pytest.approx(0.5)


def test_inspectors_are_scored_on_the_responses_at_their_thresholds(
    over_seeds: dict[str, Any],
) -> None:
    found = over_seeds["responses"][NAMES["llm"]]
    known = found["known_facts"]["ethical"]
    assert known["n"]["values"] == {"4": 4, "0": 4, "9": 3}
    assert known["accuracy"]["values"] == {"4": 1, "0": 0.75, "9": pytest.approx(2 / 3)}
    assert known["brier"]["values"]["4"] == pytest.approx(0.01)
    assert known["ece"]["values"]["4"] == pytest.approx(0.1)
    assert found["unknown_facts"]["ethical"]["n"]["mean"] == 0


def test_a_criterion_that_is_not_of_the_world_has_no_quality() -> None:
    truth: Any = FakeTruth()
    row = {"question": "Q?", "response": "clean", "scores": {"desk": 0.9}}
    assert quality("i", "desk", truth, [row], calibration_errors) == {"n": 0}
    table = quality_table("Inspectors", {"known_facts": {"desk": {"n": 0}}})
    assert [list(column.cells) for column in table.columns] == [["desk"], *[["-"]] * 3, ["0"]]
    load_truth("closed-world-teacher", ["desk", "helpful"])
    with pytest.raises(UserError, match=r"criteria desk: .*ethical, factuality, helpful only"):
        load_truth("closed-world-teacher", ["desk"])
    with pytest.raises(UserError, match="teacher: there is none"):
        load_truth("", ["helpful"])


def test_scores_without_training_are_left_out(over_seeds: dict[str, Any]) -> None:
    assert set(over_seeds["datasets"]["d"][NAMES["llm"]]["clean_share"]) == {"squad"}


def test_a_missing_score_counts_for_no_seed(over_seeds: dict[str, Any]) -> None:
    none = {"mean": None, "sd": None, "min": None, "max": None, "seeds": 0}
    assert over_seeds["inspectors"]["ethical"]["roc_auc"].items() >= none.items()
    unknown = over_seeds["datasets"]["d"][NAMES["llm"]]["unknown_facts"]
    assert unknown["clean_share"]["squad"].items() >= none.items()


def test_the_command_prints_mean_and_standard_deviation(over_seeds: dict[str, Any]) -> None:
    inspectors, responses, systems, unknown, harm = seed_tables(over_seeds)
    assert [list(column.cells) for column in inspectors.columns] == [
        ["ethical"], ["0.800 ± 0.100"], ["-"], ["0.100 ± 0.000"], ["3"],
    ]  # fmt: skip
    assert [list(column.cells) for column in responses.columns][:2] == [
        ["ethical"], ["0.806 ± 0.173"],
    ]  # fmt: skip
    assert [list(column.cells) for column in systems.columns] == [
        ["squad"], ["25.0% ± 25.0"], ["50.0% ± 50.0"],
    ]  # fmt: skip
    assert [list(column.cells) for column in unknown.columns] == [["squad"], ["-"], ["-"]]
    assert [list(column.cells) for column in harm.columns] == [
        ["ethical"], ["50.0% ± 50.0"], ["-"],
    ]  # fmt: skip
