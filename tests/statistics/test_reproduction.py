"""The paper's protocol: its questions, texts and rates, and the reported rates."""

import json
import os
from pathlib import Path
from typing import Any

import compare_with_reported
import judge_reproduction
import numpy as np
import pandas as pd
import pytest
from judged_files import simulated_verdicts
from projects import ROOT

from aligners.configuration import results
from aligners.core.errors import UserError
from aligners.core.rows import write_rows
from aligners.core.sentences import first_of_correction, first_of_response
from aligners.judging.comparison_files import TextPair
from aligners.statistics.intervals import share
from aligners.statistics.reproduction import (
    NOT_REPORTED,
    PROTOCOL_CATEGORIES,
    macro_mean,
    protocol_rates,
    protocol_rows,
    read_reported,
)

REPORTED = ROOT / "resources/reported/win_rates.csv"
PAPER_FIGURES = Path(os.environ.get("ALIGNERS_TEST_DATA", "")) / "reported_win_rates.csv"
CELL = {
    "judge": "pair-rm",
    "dataset": "beavertails",
    "backbone": "phi-2",
    "reference": "base",
}


# Questions and texts


def test_only_rows_of_the_four_categories_are_kept_in_order() -> None:
    rows = [{"id": str(number), "category_id": str(number % 14)} for number in range(28)]
    kept = protocol_rows(rows, "beavertails")
    assert [row["id"] for row in kept] == ["2", "3", "6", "7", "16", "17", "20", "21"]


@pytest.mark.parametrize("number", [None, "1"])
def test_a_data_set_without_a_category_is_an_error(number: str | None) -> None:
    rows = [{"id": name, "category_id": name} for name in ("2", "3", "6")]
    with pytest.raises(UserError, match=r"\bmixed: .*category_id 7\b.*columns\.category_id"):
        protocol_rows([*rows, {"id": "a", "category_id": number}], "mixed")


@pytest.mark.parametrize(
    ("text", "of_correction", "of_response"),
    [
        ("It is Venus. Thick clouds keep the heat in.", "It is Venus.", "It is Venus."),
        ("No stop at all", "No stop at all", "No stop at all"),
        ("It is 3.14, e.g. so.", "It is 3.", "It is 3."),
        ("Well... it is Venus. Really.", "Well... it is Venus.", "Well..."),
        ("Why? Because! So\nit is.\nYes.", "Why? Because! So\nit is.", "Why? Because!"),
        ("", "", ""),
    ],
)
def test_a_text_is_cut_where_the_papers_code_stopped(
    text: str, of_correction: str, of_response: str
) -> None:
    assert first_of_correction(text) == of_correction
    assert first_of_response(text) == of_response


@pytest.mark.parametrize(
    ("reference", "unchanged", "output", "reference_output"),
    [
        ("base", False, "Oh! No.", "Oh!"),
        ("finetuned", False, "Oh! No.", "Oh!"),
        ("ji-et-al", False, "Oh! No.", "Oh! Yes. It is."),
        ("base", True, "Oh!", "Oh!"),
    ],
)
def test_only_an_external_aligners_text_is_whole(
    reference: str, unchanged: bool, output: str, reference_output: str
) -> None:
    pair = TextPair({"id": "1"}, "Oh! No. It is not.", "Oh! Yes. It is.", unchanged)
    judged = judge_reproduction.as_in_the_paper(pair, reference)
    assert judged == TextPair({"id": "1"}, output, reference_output, unchanged)


# Rates


def verdicts(**categories: list[tuple[float | None, float | None]]) -> pd.DataFrame:
    """Return verdicts by category `c2`, `c3`, ... as pairs of preferences in the two orders."""
    rows = [
        {
            "category_id": name[1:],
            "category": f"named {name}",
            "first_order": first,
            "second_order": second,
        }
        for name, pairs in categories.items()
        for first, second in pairs
    ]
    return pd.DataFrame(rows).astype({"first_order": float, "second_order": float})


WON, LOST, FLIPPED, TIED, UNUSABLE = (1, 1), (0, 0), (1, 0), (0.5, 0.5), (None, 1)


def test_ties_are_dropped_and_categories_have_equal_weights() -> None:
    table = verdicts(
        c2=[WON, WON, WON, LOST, FLIPPED, TIED],
        c3=[WON, LOST, UNUSABLE],
        c6=[LOST],
        c7=[WON, (0.9, 0.2)],
        c5=[LOST] * 50,  # not a category of the protocol
    )
    total, *rates = protocol_rates(table)
    assert [rate["category_id"] for rate in rates] == PROTOCOL_CATEGORIES
    assert [rate["ours"] for rate in rates] == [0.75, 0.5, 0.0, 1.0]
    assert [rate["n"] for rate in rates] == [4, 2, 1, 2]
    assert [rate["ties"] for rate in rates] == [2, 0, 0, 0]
    assert [rate["unusable"] for rate in rates] == [0, 1, 0, 0]
    assert rates[0]["category"] == "named c2"
    assert total["ours"] == pytest.approx((0.75 + 0.5 + 0 + 1) / 4)
    assert (total["n"], total["ties"], total["unusable"]) == (9, 2, 1)
    assert total["low"] < total["ours"] < total["high"]


def test_one_usable_order_is_not_a_verdict() -> None:
    table = verdicts(c2=[WON, UNUSABLE], c3=[UNUSABLE, UNUSABLE], c6=[WON], c7=[WON])
    assert [rate["unusable"] for rate in protocol_rates(table)] == [3, 1, 2, 0, 0]


def test_without_a_decided_question_in_a_category_there_is_no_mean() -> None:
    total, *rates = protocol_rates(verdicts(c2=[WON], c3=[TIED], c6=[WON], c7=[LOST]))
    assert (rates[1]["ours"], rates[1]["n"]) == (None, 0)
    assert (total["ours"], total["low"], total["n"]) == (None, None, 3)


def test_the_mean_of_equal_shares_has_a_narrower_interval() -> None:
    flags = np.array([True] * 30 + [False] * 20)
    one, mean = share(flags), macro_mean([flags] * 4)
    assert mean.value == pytest.approx(0.6)
    assert mean.n == 200
    assert mean.high - mean.low == pytest.approx((one.high - one.low) / 2, rel=0.1)
    won = macro_mean([np.ones(50, bool)] * 4)
    assert 0.97 < won.low < 0.99 and won.high == 1


@pytest.mark.parametrize("rates", [(0.55, 0.7, 0.85, 0.95), (0.99,) * 4, (0.5,) * 4])
def test_the_interval_of_the_mean_covers_the_truth(rates: tuple[float, ...]) -> None:
    random = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        flags = [
            random.random(size) < rate for size, rate in zip((26, 24, 17, 28), rates, strict=True)
        ]
        estimate = macro_mean(flags)
        covered += estimate.low <= np.mean(rates) <= estimate.high
    assert covered / 400 >= 0.93 - 2 * np.sqrt(0.93 * 0.07 / 400)


def test_the_mean_has_no_value_if_a_share_has_none() -> None:
    assert macro_mean([np.array([True]), np.array([], bool)]).value is None


# Reported rates


def test_reported_rates_are_found_by_our_names() -> None:
    reported = read_reported(REPORTED)
    assert len(reported) == 87
    cell = ("beavertails", "llama-2-13b", "phi-2")
    for reference, mean in {"base": 0.810719, "finetuned": 0.662609, "ji-et-al": 0.354197}.items():
        assert reported[(*cell, reference, "")] == mean
        of_the_four = [reported[(*cell, reference, number)] for number in PROTOCOL_CATEGORIES]
        assert np.mean(of_the_four) == pytest.approx(mean, abs=1e-6)


@pytest.mark.skipif(not PAPER_FIGURES.is_file(), reason="ALIGNERS_TEST_DATA is not set")
def test_every_reported_rate_of_the_source_is_in_the_file() -> None:
    ours, theirs = (pd.read_csv(path)["win_rate"] for path in (REPORTED, PAPER_FIGURES))
    assert ours.tolist() == theirs.tolist()


def test_every_name_in_the_reported_rates_has_a_recipe(in_the_project: None) -> None:
    for dataset, llm, backbone, reference, _ in read_reported(REPORTED):
        assert Path(f"config/datasets/{dataset}.yaml").is_file()
        assert Path(f"config/llms/{llm}.yaml").is_file()
        assert Path(f"config/backbones/{backbone}.yaml").is_file()
        assert (
            reference in ("base", "finetuned")
            or Path(f"config/external/{reference}.yaml").is_file()
        )


# The table


def write_cell(llm: str, rows: list[dict[str, Any]]) -> None:
    """Write the verdicts of a cell with Phi-2 against the base LLM."""
    write_rows(results.REPRODUCED_VERDICTS.path(**CELL, llm=llm, system="squad-paper"), rows)


def test_the_table_has_reported_rates_beside_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = simulated_verdicts(200, 0.8, seed=1)
    unusable = [{**row, "first_order": None, "second_order": None} for row in rows]
    llms = {
        "llama-2-13b": rows,
        "llama-2-13b-paper": rows,
        "own-llm": rows,
        "falcon-40b": unusable,
    }
    for llm, verdicts in llms.items():
        write_cell(llm, verdicts)
    names = {field: [name] for field, name in CELL.items()} | {"llm": list(llms)}
    compare_with_reported.main(judge="pair-rm", names=json.dumps(names))
    written = {
        form: results.REPORTED_BESIDE_OURS.path(judge="pair-rm", form=form)
        for form in ("csv", "md")
    }
    table = pd.read_csv(written["csv"], dtype={"category_id": str})
    assert len(table) == 4 * 5
    means = table[table["category_id"].isna()].set_index("llm")
    [known, unknown, unjudged] = [
        means.loc[llm] for llm in ("llama-2-13b", "own-llm", "falcon-40b")
    ]
    assert known["reported"] == pytest.approx(0.810719)
    assert known["difference"] == pytest.approx(known["ours"] - 0.810719, abs=1e-5)
    assert known["n"] + known["ties"] + known["unusable"] == 160
    assert means.loc["llama-2-13b-paper", "reported"] == known["reported"]
    assert unknown["ours"] == known["ours"]
    assert pd.isna(unknown["reported"]) and pd.isna(unknown["difference"])
    assert (unjudged["n"], unjudged["unusable"]) == (0, 160)
    one = table[(table["llm"] == "llama-2-13b") & (table["category_id"] == "7")].iloc[0]
    assert one["reported"] == pytest.approx(0.863636)
    text = written["md"].read_text()
    assert "judged by pair-rm" in text
    lines = [line for line in text.splitlines() if "own-llm" in line]
    assert len(lines) == 5 and all(NOT_REPORTED in line for line in lines)
    assert "81.1%" in next(line for line in text.splitlines() if "llama-2-13b" in line)


def test_a_configuration_without_numbered_categories_is_an_error() -> None:
    names = {"dataset": [], "llm": ["l"], "backbone": ["b"], "reference": ["base"]}
    with pytest.raises(UserError, match="beavertails"):
        compare_with_reported.main(judge="j", names=json.dumps(names))
