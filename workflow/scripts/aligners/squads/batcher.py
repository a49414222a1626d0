"""Threads in which the models of a squad work: one scores, and one lets aligners act.

What waits for a thread is processed together. A response that needs no correction never waits for
the aligners, which take much longer. The sentence encoder works in the thread of the inspectors, so
that both threads have about as much to do with the demo's models. Aligners on servers get rows from
more threads (`in_flight`).
"""

import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from aligners.correction.squad import RowState, Turn, results_of
from aligners.squads.correction import Correction
from aligners.squads.errors import WaitedTooLong
from aligners.squads.in_flight import InFlight

if TYPE_CHECKING:
    from aligners.squads.squad import Squad

# Rows that are processed together at most; more would delay the first of them.
BATCH_ROWS = 64


@dataclass(eq=False)
class Job:
    """A row that waits for a result.

    Attributes:
        question, response: the row.
        result: the future of a `Correction`, or of scores.
        only_scores: whether no aligner acts.
        state: of the row after its response was scored.
        turn: the correction of an aligner on a server, or the error in its place; None if no
            aligner has the row.
        arrived: when the row came, by the monotonic clock.
        has_begun: whether an aligner has begun with the row.
    """

    question: str
    response: str
    result: Future[Any]
    only_scores: bool
    state: RowState | None = None
    turn: Turn | Exception | None = None
    arrived: float = field(default_factory=time.monotonic)
    has_begun: bool = False


Jobs = list[Job]
Waiting = queue.SimpleQueue[Job | None]


class Batcher:
    """Corrects and scores the rows of many callers."""

    def __init__(self, squad: "Squad", longest_wait: float | None = None):
        """Start the threads, which end with the process or with `close`.

        Args:
            squad: whose models work.
            longest_wait: seconds after which no aligner begins with a row any more, and the row
                fails with WaitedTooLong; None for no limit.
        """
        self.squad, self.longest_wait = squad, longest_wait
        self.lock, self.is_closed = threading.Lock(), False
        # When the work began that a thread does now, by the thread's name.
        self.began: dict[str, float] = {}
        # Rows that servers have.
        self.out: set[Job] = set()
        self.to_score: Waiting = queue.SimpleQueue()
        self.to_correct: Waiting = queue.SimpleQueue()
        self.in_flight = InFlight(squad.models, squad.in_flight) if squad.in_flight else None
        correct = self.correct_all if self.in_flight is None else self.correct_in_flight
        self.threads = [
            threading.Thread(target=self.score_all, daemon=True, name="inspectors"),
            threading.Thread(target=correct, daemon=True, name="aligners"),
        ]
        for thread in self.threads:
            thread.start()

    def correct(self, question: str, response: str) -> Future[Correction]:
        """Return the future of a response after the squad (`Squad.correct`)."""
        return self.add(question, response, only_scores=False)

    def inspect(self, question: str, response: str) -> Future[dict[str, float | None]]:
        """Return the future of a response's scores (`Squad.inspect`)."""
        return self.add(question, response, only_scores=True)

    def add(self, question: str, response: str, only_scores: bool) -> Future[Any]:
        """Let a row wait for the inspectors.

        Raises:
            RuntimeError: the threads have ended, so nothing would process the row.
        """
        result: Future[Any] = Future()
        with self.lock:
            if self.is_closed:
                raise RuntimeError("the squad was closed while it was used")
            self.to_score.put(Job(question, response, result, only_scores))
        return result

    def close(self) -> None:
        """Process what waits, and end the threads."""
        with self.lock:
            self.is_closed = True
        for waiting, thread in zip((self.to_score, self.to_correct), self.threads, strict=True):
            waiting.put(None)
            thread.join()

    def busy_seconds(self) -> float:
        """Return for how long a thread has worked on one batch, the longer of both; 0 if none does.

        Threads that wait for the servers of aligners do not count.
        """
        began = list(self.began.values())
        return time.monotonic() - min(began) if began else 0.0

    # The thread of the inspectors

    def score_all(self) -> None:
        """Score the responses that wait, until `close`."""
        for jobs in batches(self.to_score):
            self.attempt(jobs, self.score)

    def score(self, jobs: Jobs) -> None:
        """Score responses. Those that an aligner has to correct wait for the aligners."""
        states = self.squad.begin([job.question for job in jobs], [job.response for job in jobs])
        for job, state in zip(jobs, states, strict=True):
            if job.only_scores:
                finish(job, state.result.scores)
            elif self.squad.is_done(state):
                finish_with(job, state)
            else:
                job.state = state
        self.attempt([job for job in jobs if job.state], self.admit)

    def admit(self, jobs: Jobs) -> None:
        """Decide on rows before their first turn, and let those wait that still have one."""
        states = [job.state for job in jobs if job.state]
        self.squad.prepare(states)
        for job, state in zip(jobs, states, strict=True):
            if self.squad.is_done(state):
                finish_with(job, state)
            else:
                self.to_correct.put(job)

    # The thread of the aligners

    def correct_all(self) -> None:
        """Let the aligners act on the responses that wait, until `close`.

        Each aligner in turn gets all rows that wait for it, whatever turn of theirs it is. So it
        gets more rows at once than if the rows that came together went through all their turns
        together, and a row that is done does not wait for the others.
        """
        due: dict[str, Jobs] = {criterion: [] for criterion in self.squad.criteria}
        for arrived in batches(self.to_correct, lambda: not any(due.values())):
            for job in arrived:
                self.let_wait(job, due)
            for criterion, jobs in due.items():
                due[criterion] = []
                self.attempt(jobs, partial(self.act, criterion, due))

    def act(self, criterion: str, due: dict[str, Jobs], jobs: Jobs) -> None:
        """Let one aligner act on rows, and let them wait for their next turns."""
        for job in jobs:
            job.has_begun = True
        self.squad.models.take_turns([(job.state, criterion) for job in jobs if job.state])
        for job in jobs:
            self.let_wait(job, due)

    def let_wait(self, job: Job, due: dict[str, Jobs]) -> None:
        """Let a row wait for its next aligner, or finish it."""
        assert job.state is not None
        criterion = self.squad.next_turn(job.state)
        if criterion is None:
            finish_with(job, job.state)
        else:
            due[criterion].append(job)

    # The thread of aligners on servers

    def correct_in_flight(self) -> None:
        """Let aligners on servers act on the responses that wait, until `close`.

        Each row is sent by itself, so that none waits for a slower one, or for another criterion.
        What has come back is scored together.
        """
        assert self.in_flight is not None
        more = True
        while more or any(not job.result.cancelled() for job in self.out):
            jobs, more_may_come = take(self.to_correct)
            more = more and more_may_come
            # Read before any row is sent, since a row that is sent can get a turn at once.
            new = [job for job in jobs if job.turn is None]
            back = [job for job in jobs if job.turn is not None]
            self.out.difference_update(back)
            for job in back:
                if isinstance(job.turn, Exception):
                    fail(job, job.turn)
            self.attempt([job for job in back if isinstance(job.turn, tuple)], self.decide)
            for job in new:
                self.send(job)
        self.in_flight.close()

    def decide(self, jobs: Jobs) -> None:
        """Decide on corrections that have come back, and send rows that have another turn."""
        self.squad.models.decide([job.turn for job in jobs if isinstance(job.turn, tuple)])
        for job in jobs:
            job.turn = None
            self.send(job)

    def send(self, job: Job) -> None:
        """Send a row to its next aligner, or finish it."""
        assert job.state is not None and self.in_flight is not None
        criterion = self.squad.next_turn(job.state)
        if criterion is None:
            finish_with(job, job.state)
        else:
            self.out.add(job)
            self.in_flight.send(
                job.state, criterion, partial(self.begin, job), partial(self.come_back, job)
            )

    def begin(self, job: Job) -> Exception | None:
        """Return None before an aligner begins with a row, or why none does (`why_unwanted`)."""
        error = self.why_unwanted(job)
        job.has_begun = job.has_begun or error is None
        return error

    def come_back(self, job: Job, turn: Turn | Exception) -> None:
        """Let the correction of a row, or an error in its place, wait for the decision."""
        job.turn = turn
        self.to_correct.put(job)

    # All threads

    def attempt(self, jobs: Jobs, process: Callable[[Jobs], None]) -> None:
        """Process jobs together. After an error, process each alone, so that only the faulty fail.

        An error leaves the states of the rows as they were.
        """
        wanted = []
        for job in jobs:
            if error := self.why_unwanted(job):
                fail(job, error)
            else:
                wanted.append(job)
        if not wanted:
            return
        name = threading.current_thread().name
        self.began[name] = time.monotonic()
        try:
            process(wanted)
        except Exception as error:  # of any library; the caller of the row gets it
            if len(wanted) == 1:
                fail(wanted[0], error)
            else:
                for job in wanted:
                    self.attempt([job], process)
        finally:
            self.began.pop(name, None)

    def why_unwanted(self, job: Job) -> Exception | None:
        """Return why no work is done on a row any more; None if it is.

        Without a limit on the wait, a squad with more rows than it can correct in time would begin
        with each when its caller has almost given up, and correct none in time.
        """
        if job.result.cancelled():
            return CancelledError()
        waited = time.monotonic() - job.arrived
        if self.longest_wait is not None and waited > self.longest_wait and not job.has_begun:
            return WaitedTooLong(f"the response waited for {waited:.1f} s")
        return None


def take(waiting: Waiting) -> tuple[Jobs, bool]:
    """Return the jobs that wait, once there is one, and whether the queue may have more."""
    jobs: Jobs = []
    job = waiting.get()
    while job is not None:
        jobs.append(job)
        if len(jobs) == BATCH_ROWS or waiting.empty():
            return jobs, True
        job = waiting.get()
    return jobs, False


def batches(waiting: Waiting, blocks: Callable[[], bool] = lambda: True) -> Iterator[Jobs]:
    """Yield the jobs that wait, until the queue has None and no batch is wanted any more.

    Args:
        waiting: the queue.
        blocks: whether to wait for the first job; if not, a batch can be empty.
    """
    more = True
    while more or not blocks():
        jobs: Jobs = []
        while more and len(jobs) < BATCH_ROWS:
            try:
                job = waiting.get(block=blocks() and not jobs)
            except queue.Empty:
                break
            if job is None:
                more = False
            else:
                jobs.append(job)
        yield jobs


def finish_with(job: Job, state: RowState) -> None:
    """Give a job the correction after the turns of its row."""
    finish(job, Correction.of(job.response, *results_of([state])))


def fail(job: Job, error: Exception) -> None:
    """Give a job the error that its row causes, unless its caller has cancelled it."""
    with suppress(InvalidStateError):
        job.result.set_exception(error)


def finish(job: Job, result: Any) -> None:
    """Give a job its result, unless its caller has cancelled it."""
    with suppress(InvalidStateError):
        job.result.set_result(result)
