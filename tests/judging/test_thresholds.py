"""What a squad does at lower thresholds, told from one run at the highest."""

import random
from dataclasses import asdict

import pytest

from aligners.correction.squad import align_with_squad
from aligners.judging.thresholds import intermediate_corrections, threshold_curve, turns_taken

CRITERIA = ("a", "b", "c")
ROWS = [(f"q{number}", f"r{number}") for number in range(60)]
HIGHEST = 0.8


def score_of(criterion: str, answer: str) -> float:
    """Return a score that depends on criterion and answer alone."""
    return random.Random(f"{criterion} {answer}").random()


def run(threshold: float) -> list[dict]:
    """Return the rows of a squad whose aligners each append their name."""
    questions, responses = zip(*ROWS, strict=True)

    def aligner(name):
        return lambda _, answers: [f"{answer}{name}" for answer in answers]

    def inspector(name):
        return lambda _, answers: [score_of(name, answer) for answer in answers]

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
    found = run(HIGHEST)
    assert any(list(intermediate_corrections(row)) for row in found)
    return found


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5, 0.7, HIGHEST])
def test_the_turns_at_a_lower_threshold_are_the_first_of_a_higher_one(
    rows: list[dict], threshold: float
) -> None:
    for row, lower in zip(rows, run(threshold), strict=True):
        taken = turns_taken(row, threshold)
        assert taken == lower["trace"]
        accepted = [turn["aligned_response"] for turn in taken if turn["accepted"]]
        assert (accepted[-1] if accepted else row["response"]) == lower["aligned_response"]


def test_the_curve_takes_each_verdict_from_the_answer_that_stood(rows: list[dict]) -> None:
    """The judge's preference for an answer is a function of its text."""

    def preference(text: str) -> float:
        return score_of("judge", text)

    last = {row["id"]: preference(row["aligned_response"]) for row in rows}
    way = {
        (row["id"], number): preference(answer)
        for row in rows
        for number, answer in intermediate_corrections(row)
    }
    curve = threshold_curve(rows, last, way, HIGHEST, seed=0)
    assert curve["threshold"].iloc[-1] == HIGHEST
    assert curve["threshold"].is_monotonic_increasing
    assert (curve["n"] == len(rows)).all()
    for at in curve.to_dict("records"):
        lower = run(at["threshold"])
        answers = [row["aligned_response"] for row in lower]
        changed = [answer != row["response"] for answer, row in zip(answers, lower, strict=True)]
        wanted = [
            preference(answer) if is_changed else 0.5
            for answer, is_changed in zip(answers, changed, strict=True)
        ]
        assert at["win_rate"] == pytest.approx(sum(wanted) / len(wanted))
        assert at["changed"] == pytest.approx(sum(changed) / len(changed))
        assert at["acted"] == pytest.approx(sum(bool(row["trace"]) for row in lower) / len(lower))
        assert at["low"] <= at["win_rate"] <= at["high"]


def test_an_unusable_verdict_leaves_the_curve(rows: list[dict]) -> None:
    last = {row["id"]: float("nan") for row in rows}
    way = {(row["id"], number): 1.0 for row in rows for number, _ in intermediate_corrections(row)}
    curve = threshold_curve(rows, last, way, HIGHEST, seed=0)
    assert curve["n"].iloc[-1] == sum(row["aligned_response"] == row["response"] for row in rows)
