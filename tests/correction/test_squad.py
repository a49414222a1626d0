"""Squads, with aligners and inspectors that are tables."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from aligners.correction.squad import align_with_squad, align_with_squad_paper


def aligner(corrections: dict[str, str]) -> Callable[..., list[str]]:
    """Return an aligner that corrects by a table and repeats what is not in it."""
    return lambda questions, responses: [corrections.get(text, text) for text in responses]


def inspector(scores: dict[str, float]) -> Callable[..., list[float]]:
    """Return an inspector that scores by a table; what is not in it is aligned."""
    return lambda questions, responses: [scores.get(text, 1.0) for text in responses]


# Answers are a0, a1, ...; three criteria x, y, z.
CASES: list[dict[str, Any]] = [
    {
        "name": "content from the start",
        "corrections": {},
        "scores": {"x": {"a0": 0.5}, "y": {"a0": 0.9}, "z": {}},
        "result": "a0",
        "trace": [],
    },
    {
        "name": "the lowest acts, all score anew, the next lowest acts",
        "corrections": {"y": {"a0": "a1"}, "x": {"a1": "a2"}},
        "scores": {"x": {"a0": 0.3, "a1": 0.4, "a2": 0.8}, "y": {"a0": 0.1, "a1": 0.7}, "z": {}},
        "result": "a2",
        "trace": [("y", 0.1, 0.7, True), ("x", 0.4, 0.8, True)],
    },
    {
        "name": "the first correction contents the others too",
        "corrections": {"y": {"a0": "a1"}, "x": {"a1": "a2"}},
        "scores": {"x": {"a0": 0.3, "a1": 0.6}, "y": {"a0": 0.1, "a1": 0.7}, "z": {}},
        "result": "a1",
        "trace": [("y", 0.1, 0.7, True)],
    },
    {
        "name": "a correction that scores no higher is refused, and the next has its turn",
        "corrections": {"x": {"a0": "a1"}, "z": {"a0": "a2", "a1": "a3"}},
        "scores": {"x": {"a0": 0.2, "a1": 0.2}, "y": {}, "z": {"a0": 0.4, "a2": 0.9}},
        "result": "a2",
        "trace": [("x", 0.2, 0.2, False), ("z", 0.4, 0.9, True)],
    },
    {
        "name": "a correction that rises but stays below the threshold is accepted, once",
        "corrections": {"x": {"a0": "a1", "a1": "a2"}},
        "scores": {"x": {"a0": 0.1, "a1": 0.2, "a2": 0.9}, "y": {}, "z": {}},
        "result": "a1",
        "trace": [("x", 0.1, 0.2, True)],
    },
    {
        "name": "a correction that hurts another criterion sends the answer there",
        "corrections": {"x": {"a0": "a1"}, "z": {"a1": "a2"}},
        "scores": {"x": {"a0": 0.1}, "y": {}, "z": {"a0": 0.9, "a1": 0.3}},
        "result": "a2",
        "trace": [("x", 0.1, 1.0, True), ("z", 0.3, 1.0, True)],
    },
    {
        "name": "equal scores go by the order of the criteria",
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
def test_squad_acts_on_the_lowest_and_accepts_what_rises(case: dict[str, Any]) -> None:
    [result] = align_with_squad(["q"], ["a0"], *squad_of(case), 0.5)
    assert result.aligned_response == case["result"]
    trace = [
        (entry["criterion"], entry["before"][entry["criterion"]], entry["after"], entry["accepted"])
        for entry in result.trace
    ]
    assert trace == case["trace"]


def test_trace_has_the_scores_of_all_inspectors_for_the_answer_given() -> None:
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


def test_a_row_of_a_squad_does_not_depend_on_its_neighbours() -> None:
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


def test_rows_are_batched_by_aligner_and_stage() -> None:
    calls: list[tuple[str, int]] = []

    def counted(name: str, inner: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        def call(questions: Sequence[str], responses: Sequence[str]) -> list[Any]:
            calls.append((name, len(questions)))
            return inner(questions, responses)

        return call

    aligners, inspectors = squad_of(MANY)
    align_with_squad(
        [""] * 40,
        [str(n) for n in range(40)],
        {name: counted(f"align {name}", call) for name, call in aligners.items()},
        {name: counted(f"score {name}", call) for name, call in inspectors.items()},
        0.5,
    )
    assert max(sum(name == f"align {c}" for name, _ in calls) for c in "xyz") <= 3
    assert all(count > 0 for _, count in calls)


def test_an_empty_list_of_rows_is_an_empty_list_of_results() -> None:
    assert align_with_squad([], [], *squad_of(MANY), 0.5) == []
    assert align_with_squad_paper([], [], *squad_of(MANY), 0.5) == []


def test_squad_of_the_paper_orders_by_the_batch_mean_and_has_no_gate() -> None:
    scores = {"x": {"a": 0.0, "b": 0.6}, "y": {"a": 0.4, "b": 0.1, "bx": 0.1}, "z": {}}
    corrections = {"x": {"a": "ax", "by": "byx"}, "y": {"a": "ay", "b": "by", "ax": "axy"}}
    scores["x"]["by"] = 0.1
    scores["y"]["ax"] = 0.3
    scores["y"]["axy"] = 0.2
    squad = squad_of({"scores": scores, "corrections": corrections})
    # Means: x 0.3, y 0.25: y first. a: y 0.4 -> "ay" (1.0 for all). b: y -> "by", then x -> "byx".
    a, b = align_with_squad_paper(["", ""], ["a", "b"], *squad, 0.5)
    assert (a.aligned_response, b.aligned_response) == ("ay", "byx")
    assert [entry["criterion"] for entry in b.trace] == ["y", "x"]
    # On its own, a has the order x, y; and y's answer stays although its score falls.
    [a] = align_with_squad_paper(["", ""][:1], ["a"], *squad, 0.5)
    assert a.aligned_response == "axy"
    assert a.trace[1]["before"]["y"] == 0.3
    assert a.trace[1]["after"] == 0.2
    # In batches of one, each row has its own order.
    a, b = align_with_squad_paper(["", ""], ["a", "b"], *squad, 0.5, batch_size=1)
    assert (a.aligned_response, b.aligned_response) == ("axy", "byx")
