"""Squads, with tables as aligners and inspectors."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aligners.core.errors import UserError
from aligners.correction.squad import align_with_squad, align_with_squad_paper


def aligner(corrections: dict[str, str]) -> Callable[..., list[str]]:
    """Return an aligner that corrects by a table, and repeats responses that are not in it."""
    return lambda questions, responses: [corrections.get(text, text) for text in responses]


def inspector(scores: dict[str, float]) -> Callable[..., list[float]]:
    """Return an inspector that scores by a table; texts that are not in it score 1."""
    return lambda questions, responses: [scores.get(text, 1.0) for text in responses]


# The response is a0, corrections are a1, a2, ...; the criteria are x, y and z.
CASES: list[dict[str, Any]] = [
    {
        "name": "no score is below the threshold",
        "corrections": {},
        "scores": {"x": {"a0": 0.5}, "y": {"a0": 0.9}, "z": {}},
        "result": "a0",
        "trace": [],
    },
    {
        "name": "the lowest acts, all scores are updated, the next lowest acts",
        "corrections": {"y": {"a0": "a1"}, "x": {"a1": "a2"}},
        "scores": {"x": {"a0": 0.3, "a1": 0.4, "a2": 0.8}, "y": {"a0": 0.1, "a1": 0.7}, "z": {}},
        "result": "a2",
        "trace": [("y", 0.1, 0.7, True), ("x", 0.4, 0.8, True)],
    },
    {
        "name": "the first correction also raises the other scores to the threshold",
        "corrections": {"y": {"a0": "a1"}, "x": {"a1": "a2"}},
        "scores": {"x": {"a0": 0.3, "a1": 0.6}, "y": {"a0": 0.1, "a1": 0.7}, "z": {}},
        "result": "a1",
        "trace": [("y", 0.1, 0.7, True)],
    },
    {
        "name": "a correction that scores no higher is rejected, and the next has its turn",
        "corrections": {"x": {"a0": "a1"}, "z": {"a0": "a2", "a1": "a3"}},
        "scores": {"x": {"a0": 0.2, "a1": 0.2}, "y": {}, "z": {"a0": 0.4, "a2": 0.9}},
        "result": "a2",
        "trace": [("x", 0.2, 0.2, False), ("z", 0.4, 0.9, True)],
    },
    {
        "name": "a correction that scores higher but below the threshold is accepted, once",
        "corrections": {"x": {"a0": "a1", "a1": "a2"}},
        "scores": {"x": {"a0": 0.1, "a1": 0.2, "a2": 0.9}, "y": {}, "z": {}},
        "result": "a1",
        "trace": [("x", 0.1, 0.2, True)],
    },
    {
        "name": "a correction that lowers another score gives that criterion a turn",
        "corrections": {"x": {"a0": "a1"}, "z": {"a1": "a2"}},
        "scores": {"x": {"a0": 0.1}, "y": {}, "z": {"a0": 0.9, "a1": 0.3}},
        "result": "a2",
        "trace": [("x", 0.1, 1.0, True), ("z", 0.3, 1.0, True)],
    },
    {
        "name": "with equal scores the first criterion acts",
        "corrections": {"x": {"a0": "a1"}, "y": {"a0": "a2"}},
        "scores": {"x": {"a0": 0.1}, "y": {"a0": 0.1}, "z": {}},
        "result": "a1",
        "trace": [("x", 0.1, 1.0, True)],
    },
]


def squad_of(case: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the aligners and inspectors of a case."""
    return (
        {name: aligner(case["corrections"].get(name, {})) for name in "xyz"},
        {name: inspector(case["scores"][name]) for name in "xyz"},
    )


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_lowest_score_has_the_turn_and_the_gate_accepts_higher_scores(
    case: dict[str, Any],
) -> None:
    [result] = align_with_squad(["q"], ["a0"], *squad_of(case), 0.5)
    assert result.aligned_response == case["result"]
    trace = [
        (entry["criterion"], entry["before"][entry["criterion"]], entry["after"], entry["accepted"])
        for entry in result.trace
    ]
    assert trace == case["trace"]


def test_a_trace_has_the_scores_of_all_inspectors_before_each_turn() -> None:
    [result] = align_with_squad(["q"], ["a0"], *squad_of(CASES[1]), 0.5)
    assert [entry["before"] for entry in result.trace] == [
        {"x": 0.3, "y": 0.1, "z": 1.0},
        {"x": 0.4, "y": 0.7, "z": 1.0},
    ]


MANY = {
    "corrections": {
        "x": {f"{n}": f"{n}x" for n in range(40)},
        "y": {f"{n}{s}": f"{n}{s}y" for n in range(40) for s in ("", "x")},
        "z": {f"{n}{s}": f"{n}{s}z" for n in range(40) for s in ("", "x", "y", "xy")},
    },
    "scores": {
        "x": {f"{n}{s}": (n * 7 % 10) / 10 for n in range(40) for s in ("", "y", "z")},
        "y": {f"{n}{s}": (n * 3 % 10) / 10 for n in range(40) for s in ("", "x", "xz")},
        "z": {f"{n}{s}": (n * 9 % 10) / 10 for n in range(40) for s in ("", "x", "y")},
    },
}


def test_the_result_of_a_row_does_not_depend_on_other_rows() -> None:
    responses = [str(n) for n in range(40)]
    questions = [f"q{n}" for n in range(40)]
    together = align_with_squad(questions, responses, *squad_of(MANY), 0.5)
    alone = [
        align_with_squad([q], [r], *squad_of(MANY), 0.5)[0]
        for q, r in zip(questions, responses, strict=True)
    ]
    assert together == alone
    reverse = align_with_squad(questions[::-1], responses[::-1], *squad_of(MANY), 0.5)
    assert reverse[::-1] == together


def test_rows_with_the_same_turn_are_corrected_in_one_call() -> None:
    rows_of_calls: dict[str, list[int]] = {}

    def recorded(name: str, inner: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def call(questions: Sequence[str], responses: Sequence[str]) -> list[Any]:
            rows_of_calls.setdefault(name, []).append(len(questions))
            return inner(questions, responses)

        return call

    aligners, inspectors = squad_of(MANY)
    align_with_squad(
        [""] * 40,
        [str(n) for n in range(40)],
        {name: recorded(f"align {name}", call) for name, call in aligners.items()},
        {name: recorded(f"score {name}", call) for name, call in inspectors.items()},
        0.5,
    )
    for criterion in "xyz":
        assert 1 <= len(rows_of_calls[f"align {criterion}"]) <= 3
        assert max(rows_of_calls[f"align {criterion}"]) > 1
    assert min(count for counts in rows_of_calls.values() for count in counts) > 0


def test_without_rows_there_are_no_results() -> None:
    assert align_with_squad([], [], *squad_of(MANY), 0.5) == []
    assert align_with_squad_paper([], [], *squad_of(MANY), 0.5) == []


def test_the_squad_of_the_paper_orders_by_the_batch_mean_and_has_no_gate() -> None:
    scores = {"x": {"a": 0.0, "b": 0.6}, "y": {"a": 0.4, "b": 0.1, "bx": 0.1}, "z": {}}
    corrections = {"x": {"a": "ax", "by": "byx"}, "y": {"a": "ay", "b": "by", "ax": "axy"}}
    scores["x"]["by"] = 0.1
    scores["y"]["ax"] = 0.3
    scores["y"]["axy"] = 0.2
    squad = squad_of({"scores": scores, "corrections": corrections})
    # The means are x 0.3 and y 0.25, so y acts first. Row a: y makes "ay", which scores 1.
    # Row b: y makes "by", then x makes "byx".
    a, b = align_with_squad_paper(["", ""], ["a", "b"], *squad, 0.5)
    assert (a.aligned_response, b.aligned_response) == ("ay", "byx")
    assert [entry["criterion"] for entry in b.trace] == ["y", "x"]
    # Alone, row a has the order x, y; the correction of y is accepted although its score falls.
    [a] = align_with_squad_paper([""], ["a"], *squad, 0.5)
    assert a.aligned_response == "axy"
    assert a.trace[1]["before"]["y"] == 0.3
    assert a.trace[1]["after"] == 0.2
    # In batches of one, each row has its own order.
    a, b = align_with_squad_paper(["", ""], ["a", "b"], *squad, 0.5, batch_size=1)
    assert (a.aligned_response, b.aligned_response) == ("axy", "byx")


NAN = float("nan")
# Scores with one that is not a number: of a response, of a correction by its own inspector, and of
# a correction by another inspector.
NOT_NUMBERS = {
    "x": ({"x": {"a0": NAN}, "y": {}, "z": {}}, "x"),
    "own": ({"x": {"a0": 0.1, "a1": NAN}, "y": {}, "z": {}}, "x"),
    "other": ({"x": {"a0": 0.1, "a1": 0.2}, "y": {"a1": NAN}, "z": {}}, "y"),
    "too high": ({"x": {}, "y": {}, "z": {"a0": 1.5}}, "z"),
}


@pytest.mark.parametrize("align", [align_with_squad, align_with_squad_paper])
@pytest.mark.parametrize("case", NOT_NUMBERS)
def test_a_score_that_is_not_a_number_stops_the_squad(align: Any, case: str) -> None:
    scores, criterion = NOT_NUMBERS[case]
    squad = squad_of({"corrections": {"x": {"a0": "a1"}}, "scores": scores})
    questions, responses = ["p", "q"], ["good", "a0"]
    with pytest.raises(UserError, match=rf"inspector of {criterion}: .*row id-2 .*(nan|1\.5)"):
        align(questions, responses, *squad, 0.5, ids=["id-1", "id-2"])
    with pytest.raises(UserError, match=r"row 2 "):
        align(questions, responses, *squad, 0.5)
