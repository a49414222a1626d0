"""The threads of a squad: rows in different turns share the aligners, and get their own results."""

import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import pytest
from table_squads import make_table_squad

from aligners.correction.problems import AlignerCorrection
from aligners.correction.squad import Align
from aligners.squads.batcher import Batcher
from aligners.squads.correction import Correction
from aligners.squads.errors import WaitedTooLong
from aligners.squads.squad import Squad

CRITERIA = ("x", "y", "z")
# The aligner of y sometimes makes a new mistake for z.
RESPONSES = ["".join(letters) for letters in itertools.product(["", "x"], ["", "y", "yY"], "az")]


class Letter:
    """An inspector that finds a letter misaligned."""

    threshold = 0.0

    def __init__(self, letter: str):
        self.letter = letter

    def log_odds(self, questions: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        if any(text == "faulty" for text in responses):
            raise RuntimeError("no such text")
        return [-3.0 - len(text) if self.letter in text else 3.0 for text in responses]


def aligner(letter: str, calls: list[int]) -> Align:
    """Return an aligner that removes a letter, and records the sizes of its calls."""

    def align(questions: Sequence[str], texts: Sequence[str]) -> list[AlignerCorrection]:
        calls.append(len(texts))
        return [AlignerCorrection(t.replace(letter, "").replace("Y", "z") + ".") for t in texts]

    return align


def held(begun: threading.Event, go_on: threading.Event) -> Align:
    """Return the aligner of "x", which tells that it has begun, and waits until it may go on."""

    def align(questions: Sequence[str], texts: Sequence[str]) -> Sequence[AlignerCorrection]:
        begun.set()
        go_on.wait(60)
        return aligner("x", [])(questions, texts)

    return align


@pytest.fixture
def calls() -> list[int]:
    return []


@pytest.fixture(params=[0, 8], ids=["in_process", "on_servers"])
def squad(calls: list[int], request: pytest.FixtureRequest) -> Squad:
    return make_squad({name: aligner(name, calls) for name in CRITERIA}, request.param)


def make_squad(aligners: dict[str, Align], in_flight: int) -> Squad:
    """Return a squad; its aligners are on servers if rows are in flight."""
    inspectors = {name: Letter(name) for name in CRITERIA}
    squad = make_table_squad(aligners, inspectors, 1.0, familiar)
    squad.in_flight = in_flight
    return squad


def familiar(questions: Sequence[str]) -> list[bool]:
    """Return whether questions are not "new"; "faulty" makes the encoder fail."""
    if "faulty" in questions:
        raise RuntimeError("no such question")
    return [text != "new" for text in questions]


def test_each_row_gets_what_it_gets_alone(squad: Squad, calls: list[int]) -> None:
    rows = [(question, text) for text in RESPONSES * 5 for question in ("known", "new")]
    expected = [squad.correct(*row) for row in rows]
    assert {each.action for each in expected} == {"corrected", "unchanged", "skipped"}
    assert max(len(each.trace) for each in expected) == 3
    calls.clear()
    futures: list[Future[Correction]] = [squad.batcher.correct(*row) for row in rows]
    assert [future.result(60) for future in futures] == expected
    # Rows share the calls of an aligner, or each is a request of its own.
    assert set(calls) == {1} if squad.in_flight else len(calls) < sum(calls) / 2
    squad.close()


def test_a_row_that_makes_a_model_fail_fails_alone(squad: Squad) -> None:
    texts = ["xa", "faulty", "ya", "a"]
    futures = [squad.batcher.correct("known", text) for text in texts]
    assert isinstance(futures[1].exception(60), RuntimeError)
    assert [futures[n].result(60).action for n in (0, 2, 3)] == [
        "corrected",
        "corrected",
        "unchanged",
    ]


def test_a_question_that_makes_the_encoder_fail_fails_alone(squad: Squad) -> None:
    futures = [squad.batcher.correct(text, "xa") for text in ("known", "faulty", "new")]
    assert isinstance(futures[1].exception(60), RuntimeError)
    assert [futures[n].result(60).action for n in (0, 2)] == ["corrected", "skipped"]


def test_what_waits_is_done_before_the_threads_end(squad: Squad) -> None:
    batcher = squad.batcher
    futures = [batcher.correct("known", text) for text in RESPONSES * 20]
    scores = batcher.inspect("known", "xa")
    squad.close()
    assert all(future.done() for future in [*futures, scores])
    assert not any(thread.is_alive() for thread in batcher.threads)


def test_no_row_waits_for_another_that_a_server_has() -> None:
    answered = threading.Event()

    def slow(letter: str) -> Align:
        def align(questions: Sequence[str], texts: Sequence[str]) -> list[AlignerCorrection]:
            if any("slow" in text for text in texts):
                answered.wait(60)
            return [AlignerCorrection(text.replace(letter, "") + ".") for text in texts]

        return align

    squad = make_squad({name: slow(name) for name in CRITERIA}, 8)
    waiting = squad.batcher.correct("known", "slow x")
    others = [squad.batcher.correct("known", text) for text in ("xa", "ya", "za", "xya")]
    assert [future.result(60).text for future in others] == ["a.", "a.", "a.", "a.."]
    assert not waiting.done()
    answered.set()
    assert waiting.result(60).text == "slow ."
    squad.close()


def test_an_error_of_a_decision_asks_no_server_again(calls: list[int]) -> None:
    class Failing(Letter):
        def log_odds(self, questions: Sequence[str], responses: Sequence[str]) -> Any:
            if any("failing" in text and "x" not in text for text in responses):
                raise RuntimeError("no score")
            return super().log_odds(questions, responses)

    squad = make_squad({name: aligner(name, calls) for name in CRITERIA}, 8)
    squad.models.inspectors["x"] = Failing("x")  # type: ignore[index]
    texts = ["xa", "x failing", "xb", *["x"] * 20]
    futures = [squad.batcher.correct("known", text) for text in texts]
    assert str(futures[1].exception(60)) == "no score"
    assert all(future.result(60).action for future in [futures[0], *futures[2:]])
    assert calls == [1] * len(texts)
    squad.close()


def test_a_row_that_nobody_wants_any_more_is_not_sent(calls: list[int]) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def wait(questions: Sequence[str], texts: Sequence[str]) -> list[AlignerCorrection]:
        begun.set()
        go_on.wait(60)
        return aligner("x", calls)(questions, texts)

    squad = make_squad(dict.fromkeys(CRITERIA, wait), 1)
    first = squad.batcher.correct("known", "xa")
    assert begun.wait(60)
    others = [squad.batcher.correct("known", "xa") for _ in range(8)]
    assert all(other.cancel() for other in others)
    go_on.set()
    assert first.result(60).action == "corrected"
    squad.close()
    assert calls == [1]


def test_threads_start_when_rows_need_them(calls: list[int]) -> None:
    before = threading.active_count()
    squad = make_squad({name: aligner(name, calls) for name in CRITERIA}, 10_000)
    futures = [squad.batcher.correct("known", "xa") for _ in range(10)]
    assert [future.result(60).text for future in futures] == ["a."] * 10
    assert threading.active_count() <= before + 2 + 10
    squad.close()


def test_an_aligner_that_fails_on_a_server_fails_its_row_alone() -> None:
    def align(questions: Sequence[str], texts: Sequence[str]) -> list[AlignerCorrection]:
        if any("lost" in text for text in texts):
            raise RuntimeError("the server is gone")
        return [AlignerCorrection(text.replace("x", "") + ".") for text in texts]

    squad = make_squad(dict.fromkeys(CRITERIA, align), 2)
    futures = [squad.batcher.correct("known", text) for text in ("xa", "x lost", "xb")]
    assert str(futures[1].exception(60)) == "the server is gone"
    assert [futures[n].result(60).text for n in (0, 2)] == ["a.", "b."]
    squad.close()


class HeldInspector(Letter):
    """Scores the response "first" when it may go on, so that later rows come in one batch."""

    def __init__(self, letter: str):
        super().__init__(letter)
        self.go_on = threading.Event()

    def log_odds(self, questions: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        if "first" in responses:
            self.go_on.wait(60)
        return super().log_odds(questions, responses)


def test_rows_beside_a_faulty_one_are_still_with_the_servers_together() -> None:
    together = threading.Barrier(6)

    def align(questions: Sequence[str], texts: Sequence[str]) -> list[AlignerCorrection]:
        together.wait(60)  # It fails if the rows come one after the other.
        return [AlignerCorrection(text.replace("x", "") + ".") for text in texts]

    squad = make_squad(dict.fromkeys(CRITERIA, align), 8)
    squad.models.inspectors["x"] = inspector = HeldInspector("x")  # type: ignore[index]
    first = squad.batcher.correct("known", "first")
    texts = ["xa", "faulty", *["xb"] * 5]
    futures = [squad.batcher.correct("known", text) for text in texts]
    inspector.go_on.set()
    assert first.result(60).action == "unchanged"
    assert isinstance(futures.pop(1).exception(60), RuntimeError)
    assert [future.result(60).text for future in futures] == ["a.", *["b."] * 5]
    squad.close()


def test_a_row_that_waited_too_long_fails_unless_an_aligner_has_begun(squad: Squad) -> None:
    begun, go_on = threading.Event(), threading.Event()

    slow_squad = make_squad(dict.fromkeys(CRITERIA, held(begun, go_on)), min(squad.in_flight, 1))
    batcher = Batcher(slow_squad, longest_wait=0.5)
    first = batcher.correct("known", "xy")  # two turns, and so a second wait
    assert begun.wait(60)
    waiting = batcher.correct("known", "x")
    time.sleep(1.0)
    go_on.set()
    assert isinstance(waiting.exception(60), WaitedTooLong)
    assert len(first.result(60).trace) == 2
    assert batcher.correct("known", "x").result(60).action == "corrected"
    batcher.close()


def test_only_work_of_the_threads_counts_as_busy(squad: Squad) -> None:
    begun, go_on = threading.Event(), threading.Event()

    batcher = make_squad(dict.fromkeys(CRITERIA, held(begun, go_on)), squad.in_flight).batcher
    assert batcher.busy_seconds() == 0
    row = batcher.correct("known", "x")
    assert begun.wait(60)
    time.sleep(0.5)
    assert (batcher.busy_seconds() > 0.4) == (squad.in_flight == 0)
    go_on.set()
    assert row.result(60).action == "corrected"
    batcher.close()
    assert batcher.busy_seconds() == 0


def test_the_end_does_not_wait_for_a_row_that_nobody_wants() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def hang(questions: Sequence[str], texts: Sequence[str]) -> list[AlignerCorrection]:
        begun.set()
        assert go_on.wait(600), "the squad waited"
        raise RuntimeError("the server is gone")

    squad = make_squad(dict.fromkeys(CRITERIA, hang), 2)
    unwanted = squad.batcher.correct("known", "x")
    assert begun.wait(60)
    assert unwanted.cancel()
    squad.close()
    go_on.set()


@pytest.mark.parametrize("allowed", [0, 1])
def test_without_new_threads_rows_wait_for_the_others_or_fail(
    calls: list[int], monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    squad = make_squad({name: aligner(name, calls) for name in CRITERIA}, 8)
    batcher, start = squad.batcher, threading.Thread.start
    started = []

    def start_few(thread: threading.Thread) -> None:
        if len(started) == allowed:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_few)
    futures = [batcher.correct("known", "xa") for _ in range(5)]
    if allowed:
        assert [future.result(60).text for future in futures] == ["a."] * 5
    else:
        assert all("new thread" in str(future.exception(60)) for future in futures)
    squad.close()
