"""AlpacaEval's own length-controlled win rate, with a made-up file in place of its download."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn

from aligners.core.rows import row_id
from aligners.evaluation.alpaca_eval_files import alpaca_eval_rows
from aligners.statistics import alpaca_eval_rate as module
from aligners.statistics.alpaca_eval_rate import alpaca_eval_rate

glm_winrate = pytest.importorskip("alpaca_eval.metrics.glm_winrate")

COUNT = 300
QUESTIONS = [f"What is {number}?" for number in range(COUNT)]
INPUTS = [{"id": row_id(question), "question": question} for question in QUESTIONS]


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, Any]]:
    """Replace the download by a made-up df_gamed.csv for our questions; return the requests."""
    random = np.random.default_rng(1)
    difficulty = random.normal(size=COUNT)
    gamed = [
        {
            "model": model,
            "index": index,
            "preference": 0.5,
            "std_delta_len": delta,
            "instruction_difficulty": difficulty[index],
            "not_gamed_baseline": False,
        }
        for model, delta in (("concise", -0.9), ("verbose", 0.9))
        for index in range(COUNT)
    ]
    pd.DataFrame(gamed).to_csv(tmp_path / "df_gamed.csv", index=False)
    requests: list[dict[str, Any]] = []

    def download(**request: Any) -> str:
        requests.append(request)
        return str(tmp_path / request["filename"])

    monkeypatch.setattr(glm_winrate, "hf_hub_download", download)
    monkeypatch.setattr(module, "ALPACA_EVAL_INSTRUCTIONS", row_id(*[row["id"] for row in INPUTS]))
    return requests


def comparison() -> tuple[pd.DataFrame, list[dict[str, Any]], list[dict[str, Any]]]:
    """Return verdicts of a judge that prefers the longer text, and the outputs of both sides.

    The system's text is the longer one in three of four questions.
    """
    random = np.random.default_rng(0)
    longer = random.random(COUNT) < 0.75
    preferred = np.where(random.random(COUNT) < 0.9, longer, ~longer).astype(float)
    lengths = {row["id"]: 200 if long else 40 for row, long in zip(INPUTS, longer, strict=True)}
    ours = alpaca_eval_rows(INPUTS, {key: "x" * n for key, n in lengths.items()}, "a", "alpaca")
    theirs = alpaca_eval_rows(INPUTS, {key: "y" * 120 for key in lengths}, "b", "alpaca")
    verdicts = pd.DataFrame(
        {
            "id": [row["id"] for row in INPUTS],
            "first_order": preferred,
            "second_order": preferred,
        }
    )
    return verdicts, ours, theirs


def test_a_preference_for_length_alone_gives_a_rate_of_one_half(
    downloads: list[dict[str, Any]],
) -> None:
    verdicts, ours, theirs = comparison()
    assert verdicts["first_order"].mean() > 0.65
    result = alpaca_eval_rate(verdicts, ours, theirs)
    assert result.reason is None
    assert result.rate == pytest.approx(0.5, abs=0.08)
    assert result.standard_error > 0
    assert {(request["repo_id"], request["filename"]) for request in downloads} == {
        ("tatsu-lab/alpaca_eval", "df_gamed.csv")
    }
    assert not sklearn.get_config()["enable_metadata_routing"]


def test_verdicts_are_joined_by_id_and_unusable_ones_are_left_out(
    downloads: list[dict[str, Any]],
) -> None:
    verdicts, ours, theirs = comparison()
    complete = alpaca_eval_rate(verdicts, ours, theirs)
    shuffled = verdicts.sample(frac=1, random_state=0)
    assert alpaca_eval_rate(shuffled, ours, theirs) == complete
    gaps = verdicts.assign(second_order=verdicts["second_order"].mask(verdicts.index < 9))
    result = alpaca_eval_rate(gaps, ours, theirs)
    assert result.rate == pytest.approx(complete.rate, abs=0.03)
    assert result.rate != complete.rate


def test_the_rate_is_high_where_the_system_wins_and_low_where_it_loses(
    downloads: list[dict[str, Any]],
) -> None:
    verdicts, ours, theirs = comparison()
    random = np.random.default_rng(2)
    for share in (0.2, 0.8):
        scores = (random.random(COUNT) < share).astype(float)
        result = alpaca_eval_rate(
            verdicts.assign(first_order=scores, second_order=scores), ours, theirs
        )
        assert result.rate == pytest.approx(share, abs=0.15)


@pytest.mark.parametrize("change", ["fewer", "other order", "another question"])
def test_other_questions_have_no_rate(downloads: list[dict[str, Any]], change: str) -> None:
    verdicts, ours, theirs = comparison()
    changed = {
        "fewer": ours[:-5],
        "other order": ours[::-1],
        "another question": [{**ours[0], "instruction": "Who?"}, *ours[1:]],
    }[change]
    result = alpaca_eval_rate(verdicts, changed, theirs)
    assert (result.rate, result.standard_error) == (None, None)
    assert "805" in result.reason and "alpaca_eval_rows" in result.reason
    assert downloads == []


def test_without_the_hub_the_reason_names_the_file_and_the_cause(
    downloads: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(**request: Any) -> str:
        raise OSError("no network\nat all")

    monkeypatch.setattr(glm_winrate, "hf_hub_download", unreachable)
    result = alpaca_eval_rate(*comparison())
    assert result.rate is None
    assert "df_gamed.csv" in result.reason and "no network at all" in result.reason
