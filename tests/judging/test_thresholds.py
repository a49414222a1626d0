"""The corrections and win rates of a squad at lower thresholds, from one run at the highest."""

import random
from dataclasses import asdict

import pytest

from aligners.correction.squad import align_with_squad
from aligners.judging.thresholds import intermediate_corrections, threshold_curve, turns_taken

CRITERIA = ("a", "b", "c")
ROWS = [(f"q{number}", f"r{number}") for number in range(60)]
HIGHEST = 0.8


def score_of(name: str, text: str) -> float:
    """Return a random score that depends only on a name and a text."""
    return random.Random(f"{name} {text}").random()


def run(threshold: float) -> list[dict]:
    """Return the rows of a squad whose aligners append their name to a text."""
    questions, responses = zip(*ROWS, strict=True)

    def aligner(name):
        return lambda _, texts: [f"{text}{name}" for text in texts]

    def inspector(name):
        return lambda _, texts: [score_of(name, text) for text in texts]

    results = align_with_squad(
        questions,
        responses,
        {name: aligner(name) for name in CRITERIA},
        {name: inspector(name) for name in CRITERIA},
        threshold,
    )
    return [
        {"id": question, "question": question, "response": response, **asdict(result)}
        for (question, response), result in zip(ROWS, results, strict=True)
    ]


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """The squad's rows at the highest threshold; some have several accepted turns."""
    rows = run(HIGHEST)
    assert any(list(intermediate_corrections(row)) for row in rows)
    return rows


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, HIGHEST])
def test_a_lower_threshold_gives_the_first_turns_of_a_higher_threshold(
    rows: list[dict], threshold: float
) -> None:
    for row, lower in zip(rows, run(threshold), strict=True):
        taken = turns_taken(row, threshold)
        assert taken == lower["trace"]
        accepted = [turn["aligned_response"] for turn in taken if turn["accepted"]]
        assert (accepted[-1] if accepted else row["response"]) == lower["aligned_response"]


def test_the_curve_has_the_rates_of_a_run_at_each_threshold(rows: list[dict]) -> None:
    """The judge's preference for a correction depends only on its text."""

    def preference(text: str) -> float:
        return score_of("judge", text)

    last = {row["id"]: preference(row["aligned_response"]) for row in rows}
    intermediate = {
        (row["id"], number): preference(correction)
        for row in rows
        for number, correction in intermediate_corrections(row)
    }
    curve = threshold_curve(rows, last, intermediate, HIGHEST, seed=0)
    assert curve["threshold"].iloc[-1] == HIGHEST
    assert curve["threshold"].is_monotonic_increasing
    assert (curve["n"] == len(rows)).all()
    for point in curve.to_dict("records"):
        lower = run(point["threshold"])
        changed = [row["aligned_response"] != row["response"] for row in lower]
        preferences = [
            preference(row["aligned_response"]) if is_changed else 0.5
            for row, is_changed in zip(lower, changed, strict=True)
        ]
        acted = [bool(row["trace"]) for row in lower]
        assert point["win_rate"] == pytest.approx(sum(preferences) / len(rows))
        assert point["changed"] == pytest.approx(sum(changed) / len(rows))
        assert point["acted"] == pytest.approx(sum(acted) / len(rows))
        assert point["low"] <= point["win_rate"] <= point["high"]


def test_questions_without_a_usable_verdict_are_left_out_of_the_curve(rows: list[dict]) -> None:
    last = {row["id"]: float("nan") for row in rows}
    intermediate = {
        (row["id"], number): 1.0 for row in rows for number, _ in intermediate_corrections(row)
    }
    curve = threshold_curve(rows, last, intermediate, HIGHEST, seed=0)
    unchanged = sum(row["aligned_response"] == row["response"] for row in rows)
    assert curve["n"].iloc[-1] == unchanged < len(rows)
