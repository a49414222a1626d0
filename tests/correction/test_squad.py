"""Squads, with tables as aligners and inspectors."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from table_squads import align_with_squad, align_with_squad_paper

from aligners.core.errors import UserError
from aligners.core.reasons import PROBLEMS
from aligners.correction.gate import Gate
from aligners.correction.problems import AlignerCorrection, find_problem
from aligners.correction.squad import (
    Result,
    with_first_sentences,
)

LEAST_RISE = 1.0
SENTENCE = "It is kind to ask first, and to listen. "


def aligner(
    corrections: Mapping[str, str | AlignerCorrection],
) -> Callable[..., list[AlignerCorrection]]:
    """Return an aligner that corrects by a table, and repeats texts that are not in it."""

    def align(questions: Sequence[str], texts: Sequence[str]) -> list[AlignerCorrection]:
        found = [corrections.get(text, text) for text in texts]
        return [
            each if isinstance(each, AlignerCorrection) else AlignerCorrection(each)
            for each in found
        ]

    return align


@dataclass
class Table:
    """An inspector that scores by a table; texts that are not in it have log odds of 3."""

    table: Mapping[str, float | None] = field(default_factory=dict)
    threshold: float = 0.0

    def log_odds(self, questions: Sequence[str], texts: Sequence[str]) -> list[float | None]:
        return [self.table.get(text, 3.0) for text in texts]


# The response is a0, corrections are a1, a2, ...; the criteria are x, y and z. A turn has the
# margins of its criterion before and after, and the reason of the gate.
CASES: list[dict[str, Any]] = [
    {
        "name": "no log odds are below the threshold",
        "corrections": {},
        "log odds": {"x": {"a0": 0.0}},
        "result": "a0",
        "trace": [],
    },
    {
        "name": "the lowest acts, then the next lowest",
        "corrections": {"y": {"a0": "a1"}, "x": {"a1": "a2"}},
        "log odds": {"x": {"a0": -2, "a1": -1, "a2": 2}, "y": {"a0": -4, "a1": 1}},
        "result": "a2",
        "trace": [("y", -4, 1, "accepted"), ("x", -1, 2, "accepted")],
    },
    {
        "name": "the first correction also raises the other to its threshold",
        "corrections": {"y": {"a0": "a1"}, "x": {"a1": "a2"}},
        "log odds": {"x": {"a0": -2, "a1": 0}, "y": {"a0": -4, "a1": 1}},
        "result": "a1",
        "trace": [("y", -4, 1, "accepted")],
    },
    {
        "name": "a correction that rises too little is rejected, and the next has its turn",
        "corrections": {"x": {"a0": "a1"}, "z": {"a0": "a2", "a1": "a3"}},
        "log odds": {"x": {"a0": -4, "a1": -3.1, "a2": -2}, "z": {"a0": -1, "a2": 2}},
        "result": "a2",
        "trace": [("x", -4, -3.1, "rose_too_little"), ("z", -1, 2, "accepted")],
    },
    {
        "name": "of two tiny scores, the higher is no better",
        "corrections": {"x": {"a0": "a1"}},
        "log odds": {"x": {"a0": math.log(1.0e-27), "a1": math.log(2.0e-27)}},
        "result": "a0",
        "trace": [("x", math.log(1.0e-27), math.log(2.0e-27), "rose_too_little")],
    },
    {
        "name": "a rise as large as the margin is accepted, once, also below the threshold",
        "corrections": {"x": {"a0": "a1", "a1": "a2"}},
        "log odds": {"x": {"a0": -4, "a1": -3, "a2": 3}},
        "result": "a1",
        "trace": [("x", -4, -3, "accepted")],
    },
    {
        "name": "a correction that lowers another below its threshold is rejected",
        "corrections": {"x": {"a0": "a1"}, "z": {"a1": "a2"}},
        "log odds": {"x": {"a0": -6}, "z": {"a0": 3, "a1": -0.1}},
        "result": "a0",
        "trace": [("x", -6, 3, "lowers_another")],
    },
    {
        "name": "a correction may lower another that stays at its threshold",
        "corrections": {"x": {"a0": "a1"}},
        "log odds": {"x": {"a0": -6}, "z": {"a0": 3, "a1": 0}},
        "result": "a1",
        "trace": [("x", -6, 3, "accepted")],
    },
    {
        "name": "a correction that makes another worse than its own was is rejected",
        "corrections": {"x": {"a0": "a1"}},
        "log odds": {"x": {"a0": -6}, "z": {"a0": -2, "a1": -6}},
        "result": "a0",
        "trace": [("x", -6, 3, "least_margin_not_raised"), ("z", -6, None, "unchanged")],
    },
    {
        "name": "a draft that leaves another as low as it was is accepted with the next correction",
        "corrections": {"x": {"a0": "a1"}, "z": {"a1": "a2"}},
        "log odds": {"x": {"a0": -6}, "z": {"a0": -5.9, "a1": -6.1}},
        "result": "a2",
        "trace": [("x", -6, 3, "least_margin_not_raised"), ("z", -6.1, 3, "accepted")],
    },
    {
        "name": "a draft that no further correction makes better is not kept",
        "corrections": {"x": {"a0": "a1"}, "z": {"a1": "a2"}},
        "log odds": {"x": {"a0": -6, "a2": -7}, "z": {"a0": -5.9, "a1": -6.1}},
        "result": "a0",
        "trace": [("x", -6, 3, "least_margin_not_raised"), ("z", -6.1, 3, "lowers_another")],
    },
    {
        "name": "with equal margins the first criterion acts",
        "corrections": {"x": {"a0": "a1"}, "y": {"a0": "a2"}},
        "log odds": {"x": {"a0": -2}, "y": {"a0": -2}},
        "result": "a1",
        "trace": [("x", -2, 3, "accepted")],
    },
    {
        "name": "an unchanged correction is rejected, also with other white space around it",
        "corrections": {"x": {"a0 \n": "a0"}},
        "response": "a0 \n",
        "log odds": {"x": {"a0 \n": -2}},
        "result": "a0 \n",
        "trace": [("x", -2, None, "unchanged")],
    },
]


def squad_of(case: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the aligners and inspectors of a case."""
    return (
        {name: aligner(case["corrections"].get(name, {})) for name in "xyz"},
        {name: Table(case["log odds"].get(name, {})) for name in "xyz"},
    )


def turns_of(result: Result) -> list[tuple[Any, ...]]:
    """Return criterion, margins of the criterion and reason of each turn."""
    turns = []
    for turn in result.trace:
        before, after = turn["margins_before"], turn["margins_after"] or {}
        name = turn["criterion"]
        turns.append((name, before[name], after.get(name), turn["reason"]))
        assert turn["accepted"] == (turn["reason"] == "accepted")
        assert (turn["after"] is None) == (turn["margins_after"] is None)
    return turns


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_the_lowest_margin_has_the_turn_and_the_gate_decides(case: dict[str, Any]) -> None:
    response = case.get("response", "a0")
    [result] = align_with_squad(["q"], [response], *squad_of(case), LEAST_RISE)
    assert result.aligned_response == case["result"]
    assert turns_of(result) == case["trace"]
    assert result.reason == (None if case["trace"] else "above_threshold")


def test_a_trace_has_all_scores_before_and_after_each_turn() -> None:
    [result] = align_with_squad(["q"], ["a0"], *squad_of(CASES[6]), LEAST_RISE)
    [turn] = result.trace
    assert turn["margins_before"] == {"x": -6, "y": 3, "z": 3}
    assert turn["margins_after"] == {"x": 3, "y": 3, "z": -0.1}
    for scores, margins in (("before", "margins_before"), ("after", "margins_after")):
        odds = {name: 1 / (1 + math.exp(-value)) for name, value in turn[margins].items()}
        assert turn[scores] == pytest.approx(odds)
    assert result.scores == turn["before"]
    assert (turn["aligned_response"], turn["lowered"]) == ("a1", "z")


def test_margins_are_distances_from_each_inspectors_threshold() -> None:
    aligners = {name: aligner({"a0": f"{name}1"}) for name in "xy"}
    inspectors = {"x": Table({"a0": -2}, threshold=-3), "y": Table({"a0": 1}, threshold=2)}
    [result] = align_with_squad(["q"], ["a0"], aligners, inspectors, LEAST_RISE)
    # Only y is below its threshold, although its log odds are higher.
    assert turns_of(result) == [("y", -1, 1, "accepted")]
    assert result.scores == pytest.approx({"x": 0.1192, "y": 0.7311}, abs=1e-4)


BAD = {
    "empty": AlignerCorrection("", "empty"),
    "not_ended": AlignerCorrection("It is kind to", "not_ended"),
    "loops": AlignerCorrection(SENTENCE * 4, "loops"),
    "too_long": AlignerCorrection("a0", "too_long"),
    "failed": AlignerCorrection("a0", "failed"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_correction_with_a_problem_is_rejected_whatever_its_score(problem: str) -> None:
    table = {"a0": -5.0, **{each.text: 50.0 for each in BAD.values() if each.text != "a0"}}
    squad = {"x": aligner({"a0": BAD[problem]})}, {"x": Table(table)}
    [result] = align_with_squad(["q"], ["a0"], *squad, LEAST_RISE)
    assert turns_of(result) == [("x", -5, None, problem)]
    assert result.aligned_response == "a0"
    assert result.trace[0]["aligned_response"] == BAD[problem].text


def test_problems_are_found_in_the_text_and_its_end() -> None:
    response = "Ask first."
    for text in ("", "...", "\u200b", "- —"):
        assert find_problem(text, True, response) == "empty"
    for text in ("4", "好", "👍", "$"):
        assert find_problem(text, True, response) is None
    assert find_problem("It is kind to", False, response) == "not_ended"
    assert find_problem(SENTENCE * 4, True, response) == "loops"
    assert find_problem(SENTENCE * 4, False, response) == "loops"
    assert find_problem(SENTENCE * 4, True, SENTENCE * 4) is None
    assert find_problem("Listen.", True, response) is None


def test_no_aligner_acts_on_an_unfamiliar_question() -> None:
    aligners = {name: aligner({"a0": "a1"}) for name in "xy"}
    inspectors = {"x": Table({"a0": -5}), "y": Table()}
    new, known = align_with_squad(
        ["new", "old"], ["a0"] * 2, aligners, inspectors, LEAST_RISE, unfamiliar=["new"]
    )
    assert (new.aligned_response, new.trace, new.reason) == ("a0", [], "unfamiliar_question")
    assert new.scores == known.scores == pytest.approx({"x": 0.0067, "y": 0.9526}, abs=1e-4)
    assert (known.aligned_response, known.reason) == ("a1", None)


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("text", ["", " \n", "…"])
def test_no_aligner_invents_a_text_for_an_empty_response(text: str, paper: bool) -> None:
    aligners = {name: aligner({text: "a1"}) for name in "xy"}
    inspectors = {"x": Table({text: -5}), "y": Table()}
    align = align_with_squad_paper if paper else partial(align_with_squad, least_rise=LEAST_RISE)
    [result] = align(["Why?"], [text], aligners, inspectors)
    assert (result.aligned_response, result.trace, result.reason) == (text, [], "empty_response")
    assert result.scores == pytest.approx({"x": 0.0067, "y": 0.9526}, abs=1e-4)


@pytest.mark.parametrize("paper", [False, True])
def test_a_response_that_an_inspector_cannot_read_is_left_alone(paper: bool) -> None:
    aligners = {name: aligner({"a0": "a1", "b0": "b1"}) for name in "xy"}
    inspectors = {"x": Table({"a0": -5, "b0": -5}), "y": Table({"a0": None})}
    texts = ["q", "q"], ["a0", "b0"]
    if paper:
        unread, read = align_with_squad_paper(*texts, aligners, inspectors)
    else:
        unread, read = align_with_squad(*texts, aligners, inspectors, LEAST_RISE)
    assert (unread.aligned_response, unread.trace) == ("a0", [])
    assert unread.reason == "question_too_long"
    assert unread.scores == pytest.approx({"x": 0.0067, "y": None}, abs=1e-4)
    assert read.aligned_response == "b1"


@pytest.mark.parametrize("paper", [False, True])
@pytest.mark.parametrize("unread", ["x", "z"])
def test_a_correction_that_an_inspector_cannot_read_is_rejected(paper: bool, unread: str) -> None:
    """A long question can leave room for the response, and none for a longer correction."""
    # The correction of y raises the score of x too.
    log_odds: dict[str, Any] = {"x": {"a0": -5, "a2": -4}, "y": {"a0": -2}}
    log_odds[unread] = {**log_odds.get(unread, {}), "a1": None}
    squad = squad_of({"corrections": {"x": {"a0": "a1"}, "y": {"a0": "a2"}}, "log odds": log_odds})
    if paper:
        [result] = align_with_squad_paper(["q"], ["a0"], *squad)
    else:
        [result] = align_with_squad(["q"], ["a0"], *squad, LEAST_RISE)
    assert turns_of(result) == [("x", -5, None, "question_too_long"), ("y", -2, 3, "accepted")]
    assert (result.aligned_response, result.reason) == ("a2", None)
    assert result.trace[0]["aligned_response"] == "a1"


# Random squads: aligners append their name, and inspectors score each text at random.


def random_log_odds(name: str, text: str) -> float:
    """Return log odds that depend only on a name and a text."""
    return random.Random(f"{name} {text}").uniform(-6, 4)


@dataclass
class RandomInspector(Table):
    name: str = ""

    def log_odds(self, questions: Sequence[str], texts: Sequence[str]) -> list[float | None]:
        return [random_log_odds(self.name, text) for text in texts]


def append(name: str) -> Callable[..., list[AlignerCorrection]]:
    """Return an aligner that appends its name, or now and then has a problem."""

    def align(questions: Sequence[str], texts: Sequence[str]) -> list[AlignerCorrection]:
        fails = [random.Random(f"fails {name} {text}").random() < 0.1 for text in texts]
        return [
            AlignerCorrection(text + name, "not_ended" if failed else None)
            for text, failed in zip(texts, fails, strict=True)
        ]

    return align


RANDOM = (
    {name: append(name) for name in "xyz"},
    {
        name: RandomInspector(threshold=threshold, name=name)
        for name, threshold in {"x": -1, "y": 0, "z": 1.5}.items()
    },
)
QUESTIONS = [f"q{number}" for number in range(300)]
RESPONSES = [str(number) for number in range(300)]


def test_each_accepted_turn_raises_the_least_margin_and_harms_no_criterion() -> None:
    results = align_with_squad(QUESTIONS, RESPONSES, *RANDOM, LEAST_RISE)
    turns = [turn for result in results for turn in result.trace]
    accepted = [turn for turn in turns if turn["accepted"]]
    assert len(accepted) > 50 and len({turn["reason"] for turn in turns}) == 5
    for turn in accepted:
        before, after, name = turn["margins_before"], turn["margins_after"], turn["criterion"]
        assert min(after.values()) > min(before.values())
        assert after[name] - before[name] >= LEAST_RISE
        assert all(after[each] >= 0 for each in before if before[each] >= 0)
        assert before[name] < 0
    for turn in turns:
        assert turn["criterion"] != turn["lowered"]
        assert (turn["lowered"] is not None) == (turn["reason"] == "lowers_another")
    for result in results:
        assert len({turn["criterion"] for turn in result.trace}) == len(result.trace)


def test_the_last_text_is_the_best_of_those_that_the_other_rules_accept() -> None:
    """By the least margin of all inspectors."""
    for result in align_with_squad(QUESTIONS, RESPONSES, *RANDOM, LEAST_RISE):
        seen = {"": -math.inf}
        final = None
        for turn in result.trace:
            final = min(turn["margins_before"].values()) if final is None else final
            if turn["reason"] in ("accepted", "least_margin_not_raised"):
                seen[turn["aligned_response"]] = min(turn["margins_after"].values())
            if turn["accepted"]:
                final = min(turn["margins_after"].values())
        if final is not None:
            assert final >= max(seen.values())


def test_the_result_of_a_row_does_not_depend_on_other_rows() -> None:
    together = align_with_squad(QUESTIONS, RESPONSES, *RANDOM, LEAST_RISE)
    alone = [
        align_with_squad([q], [r], *RANDOM, LEAST_RISE)[0]
        for q, r in zip(QUESTIONS, RESPONSES, strict=True)
    ]
    assert together == alone
    reverse = align_with_squad(QUESTIONS[::-1], RESPONSES[::-1], *RANDOM, LEAST_RISE)
    assert reverse[::-1] == together


def test_rows_with_the_same_turn_are_corrected_in_one_call() -> None:
    rows_of_calls: dict[str, list[int]] = {}

    def recorded(name: str, inner: Callable[..., Any]) -> Callable[..., Any]:
        def call(questions: Sequence[str], responses: Sequence[str]) -> Any:
            rows_of_calls.setdefault(name, []).append(len(questions))
            return inner(questions, responses)

        return call

    aligners, inspectors = RANDOM
    align_with_squad(
        QUESTIONS,
        RESPONSES,
        {name: recorded(name, call) for name, call in aligners.items()},
        inspectors,
        LEAST_RISE,
    )
    for counts in rows_of_calls.values():
        assert 1 <= len(counts) <= 3 and min(counts) > 0 and max(counts) > 1


@pytest.mark.parametrize("count", [1, 3])
def test_an_inspector_that_scores_another_number_of_texts_stops_the_squad(count: int) -> None:
    class Careless(Table):
        def log_odds(self, questions: Sequence[str], texts: Sequence[str]) -> list[float | None]:
            return [3.0] * count

    with pytest.raises(ValueError, match="zip"):
        align_with_squad(["q"] * 2, ["a"] * 2, {"x": aligner({})}, {"x": Careless()}, LEAST_RISE)


def test_without_rows_there_are_no_results() -> None:
    assert align_with_squad([], [], *RANDOM, LEAST_RISE) == []
    assert align_with_squad_paper([], [], *RANDOM) == []


# The squad of the paper


def test_the_squad_of_the_paper_orders_by_the_batch_mean_and_has_no_gate() -> None:
    # Probabilities of 0.002, 0.6, ...
    log_odds = {
        "x": {"a": -6.0, "b": 0.4, "by": -2.0},
        "y": {"a": -0.4, "b": -2.0, "bx": -2.0, "ax": -1.0, "axy": -1.5},
    }
    corrections = {"x": {"a": "ax", "by": "byx"}, "y": {"a": "ay", "b": "by", "ax": "axy"}}
    squad = squad_of({"log odds": log_odds, "corrections": corrections})
    # The means are x 0.30 and y 0.26, so y acts first. Row a: y makes "ay", which scores high.
    # Row b: y makes "by", then x makes "byx".
    a, b = align_with_squad_paper(["", ""], ["a", "b"], *squad)
    assert (a.aligned_response, b.aligned_response) == ("ay", "byx")
    assert [entry["criterion"] for entry in b.trace] == ["y", "x"]
    # Alone, row a has the order x, y; the correction of y is accepted although its score falls.
    [a] = align_with_squad_paper([""], ["a"], *squad)
    assert a.aligned_response == "axy"
    assert turns_of(a)[1] == ("y", -1.0, -1.5, "accepted")
    # In batches of one, each row has its own order.
    a, b = align_with_squad_paper(["", ""], ["a", "b"], *squad, batch_size=1)
    assert (a.aligned_response, b.aligned_response) == ("axy", "byx")


def test_the_squad_of_the_paper_forms_its_batches_by_question_and_response() -> None:
    log_odds = {
        "x": {"a": -4.0, "b": -4.0, "c": -1.0, "d": -1.0},
        "y": {"a": -1.0, "b": -1.0, "c": -4.0, "d": -4.0},
    }
    squad = squad_of({"log odds": log_odds, "corrections": {}})
    # The batches are a, b and c, d; in the given order, they would be a, c and b, d.
    texts = ["a", "c", "b", "d"]
    results = align_with_squad_paper(["", "", "", ""], texts, *squad, batch_size=2)
    assert [result.aligned_response for result in results] == texts
    first = [result.trace[0]["criterion"] for result in results]
    assert first == ["x", "y", "x", "y"]


def test_an_aligner_can_write_first_sentences_only() -> None:
    align = with_first_sentences(aligner({"a0": "One. Two.", "b0": "No end"}))
    assert [each.text for each in align(["", ""], ["a0", "b0"])] == ["One.", "No end"]


def test_the_squad_of_the_paper_ignores_thresholds() -> None:
    squad = {"x": aligner({"a0": "a1"})}, {"x": Table({"a0": 0.5}, threshold=2)}
    [result] = align_with_squad_paper(["q"], ["a0"], *squad)
    assert (result.trace, result.reason) == ([], "above_threshold")
    squad[1]["x"].table = {"a0": -0.5}
    [result] = align_with_squad_paper(["q"], ["a0"], *squad)
    assert turns_of(result) == [("x", -0.5, 3, "accepted")]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_the_squad_of_the_paper_accepts_every_correction_of_a_whole_response(problem: str) -> None:
    squad = {"x": aligner({"a0": BAD[problem]})}, {"x": Table({"a0": -5})}
    [result] = align_with_squad_paper(["q"], ["a0"], *squad)
    assert result.aligned_response == BAD[problem].text
    if problem in ("too_long", "failed"):
        assert turns_of(result) == [("x", -5, None, problem)]
    else:
        assert turns_of(result) == [("x", -5, 3, "accepted")]


# Log odds that are not numbers


NAN = float("nan")
# Of a response, of a correction by its own inspector, and of a correction by another inspector.
NOT_NUMBERS = {
    "x": ({"x": {"a0": NAN}}, "x"),
    "own": ({"x": {"a0": -2, "a1": NAN}}, "x"),
    "other": ({"x": {"a0": -2}, "y": {"a1": NAN}}, "y"),
    "infinite": ({"z": {"a0": math.inf}}, "z"),
}


@pytest.mark.parametrize("case", NOT_NUMBERS)
@pytest.mark.parametrize("paper", [False, True])
def test_log_odds_that_are_no_number_stop_the_squad(paper: bool, case: str) -> None:
    log_odds, criterion = NOT_NUMBERS[case]
    squad = squad_of({"corrections": {"x": {"a0": "a1"}}, "log odds": log_odds})

    def align(**options: Any) -> object:
        texts = ["p", "q"], ["good", "a0"]
        if paper:
            return align_with_squad_paper(*texts, *squad, **options)
        return align_with_squad(*texts, *squad, LEAST_RISE, **options)

    with pytest.raises(UserError, match=rf"inspector of {criterion}: .*row id-2 .*(nan|inf)"):
        align(ids=["id-1", "id-2"])
    with pytest.raises(UserError, match=r"row 2 "):
        align()


def test_the_gate_names_the_criterion_that_falls_lowest() -> None:
    before, after = {"x": -3.0, "y": 1.0, "z": 1.0}, {"x": 1.0, "y": -1.0, "z": -2.0}
    assert Gate(LEAST_RISE).decide("x", before, before, after).lowered == "z"
