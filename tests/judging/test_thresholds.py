"""The corrections and win rates of a squad that acts only at lower scores, from one run."""

import random
from dataclasses import asdict, dataclass

import pytest
from table_squads import align_with_squad

from aligners.correction.problems import AlignerCorrection
from aligners.judging.thresholds import (
    OFFSETS,
    intermediate_corrections,
    threshold_curve,
    turns_taken,
)

CRITERIA = ("a", "b", "c")
ROWS = [(f"q{number}", f"r{number}") for number in range(60)]


@dataclass
class Inspector:
    """An inspector whose log odds change at random with each aligner that has acted.

    No aligner lowers the scores of another criterion. So the gate makes the same decisions at all
    thresholds, and a run at lower thresholds is a run at an offset.
    """

    name: str
    threshold: float

    def log_odds(self, questions, texts) -> list[float | None]:
        return [self.of_text(text) for text in texts]

    def of_text(self, text: str) -> float:
        response = text.rstrip("abc")
        value = random.Random(f"{self.name} {response}").uniform(-9, 1)
        for actor in text[len(response) :]:
            low, high = (-2, 6) if actor == self.name else (0, 2)
            value += random.Random(f"{self.name} {response} {actor}").uniform(low, high)
        return value


def preference(text: str) -> float:
    """Return a judge's preference for a correction, which depends only on its text."""
    return random.Random(text).random()


def run(offset: float) -> list[dict]:
    """Return the rows of a squad whose aligners append their name to a text."""
    questions, responses = zip(*ROWS, strict=True)

    def aligner(name):
        return lambda _, texts: [AlignerCorrection(f"{text}{name}") for text in texts]

    results = align_with_squad(
        questions,
        responses,
        {name: aligner(name) for name in CRITERIA},
        {name: Inspector(name, offset - 1) for name in CRITERIA},
        least_rise=1.0,
    )
    return [
        {"id": question, "question": question, "response": response, **asdict(result)}
        for (question, response), result in zip(ROWS, results, strict=True)
    ]


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """The squad's rows; some have several accepted turns."""
    rows = run(0.0)
    assert any(list(intermediate_corrections(row)) for row in rows)
    return rows


@pytest.mark.parametrize("offset", OFFSETS)
def test_a_lower_offset_gives_the_first_turns_of_the_run(rows: list[dict], offset: float) -> None:
    for row, lower in zip(rows, run(offset), strict=True):
        taken = turns_taken(row, offset)
        assert [turn["aligned_response"] for turn in taken] == [
            turn["aligned_response"] for turn in lower["trace"]
        ]
        accepted = [turn["aligned_response"] for turn in taken if turn["accepted"]]
        assert (accepted[-1] if accepted else row["response"]) == lower["aligned_response"]


def test_the_curve_has_the_rates_of_a_run_at_each_offset(rows: list[dict]) -> None:
    last = {row["id"]: preference(row["aligned_response"]) for row in rows}
    intermediate = {
        (row["id"], number): preference(correction)
        for row in rows
        for number, correction in intermediate_corrections(row)
    }
    curve = threshold_curve(rows, last, intermediate, seed=0)
    assert curve["offset"].iloc[-1] == 0
    assert curve["offset"].is_monotonic_increasing
    assert (curve["n"] == len(rows)).all()
    assert curve["acted"].nunique() > 5
    for point in curve.to_dict("records"):
        lower = run(point["offset"])
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
    curve = threshold_curve(rows, last, intermediate, seed=0)
    unchanged = sum(row["aligned_response"] == row["response"] for row in rows)
    assert curve["n"].iloc[-1] == unchanged < len(rows)
