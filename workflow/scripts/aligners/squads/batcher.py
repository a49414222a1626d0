"""Two threads in which the models of a squad work: one scores, and one lets aligners act.

What waits for a thread is processed together. A response that needs no correction never waits for
the aligners, which take much longer.
"""

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aligners.correction.squad import RowState, results_of
from aligners.squads.correction import Correction

if TYPE_CHECKING:
    from aligners.squads.squad import Squad

# Rows that are processed together at most; more would delay the first of them.
BATCH_ROWS = 64


@dataclass
class Job:
    """A row that waits for a result.

    Attributes:
        question, response: the row.
        result: the future of a `Correction`, or of scores.
        only_scores: whether no aligner acts.
        state: of the row after its response was scored.
    """

    question: str
    response: str
    result: Future[Any]
    only_scores: bool
    state: RowState | None = None


Jobs = list[Job]
Waiting = queue.SimpleQueue[Job | None]


class Batcher:
    """Corrects and scores the rows of many callers."""

    def __init__(self, squad: "Squad"):
        """Start the threads, which end with the process or with `close`."""
        self.squad = squad
        self.to_score: Waiting = queue.SimpleQueue()
        self.to_correct: Waiting = queue.SimpleQueue()
        self.threads = [
            threading.Thread(target=work, args=(waiting, process), daemon=True, name=name)
            for waiting, process, name in (
                (self.to_score, self.score, "inspectors"),
                (self.to_correct, self.correct_waiting, "aligners"),
            )
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
        """Let a row wait for the inspectors."""
        result: Future[Any] = Future()
        self.to_score.put(Job(question, response, result, only_scores))
        return result

    def close(self) -> None:
        """Process what waits, and end the threads."""
        for waiting, thread in zip((self.to_score, self.to_correct), self.threads, strict=True):
            waiting.put(None)
            thread.join()

    def score(self, jobs: Jobs) -> None:
        """Score responses. Those that an aligner has to correct wait for the aligners."""
        states = self.squad.begin([job.question for job in jobs], [job.response for job in jobs])
        for job, state in zip(jobs, states, strict=True):
            if job.only_scores:
                finish(job, state.result.scores)
            elif self.squad.is_done(state):
                finish(job, Correction.of(job.response, *results_of([state])))
            else:
                job.state = state
                self.to_correct.put(job)

    def correct_waiting(self, jobs: Jobs) -> None:
        """Let the aligners act on responses that were scored."""
        # A second attempt, after an error, begins again: the first has changed the states.
        states = [job.state for job in jobs if job.state is not None]
        if len(states) < len(jobs):
            states = self.squad.begin(
                [job.question for job in jobs], [job.response for job in jobs]
            )
        for job in jobs:
            job.state = None
        self.squad.complete(states)
        for job, result in zip(jobs, results_of(states), strict=True):
            finish(job, Correction.of(job.response, result))


def work(waiting: Waiting, process: Callable[[Jobs], None]) -> None:
    """Process the jobs of a queue in batches, until it has None."""
    for jobs in batches(waiting):
        attempt(jobs, process)


def batches(waiting: Waiting) -> Iterator[Jobs]:
    """Yield the jobs that wait, as soon as there is one; end at None."""
    more = True
    while more:
        jobs = [waiting.get()]
        while jobs[-1] is not None and len(jobs) < BATCH_ROWS and not waiting.empty():
            jobs.append(waiting.get())
        more = jobs[-1] is not None
        # A caller may have cancelled a job that waited.
        if wanted := [job for job in jobs if job is not None and not job.result.cancelled()]:
            yield wanted


def attempt(jobs: Jobs, process: Callable[[Jobs], None]) -> None:
    """Process jobs together. After an error, process each alone, so that only the faulty fail."""
    try:
        process(jobs)
    except Exception as error:  # of any library; the caller of the faulty job gets it
        if len(jobs) > 1:
            for job in jobs:
                attempt([job], process)
        else:
            with suppress(InvalidStateError):
                jobs[0].result.set_exception(error)


def finish(job: Job, result: Any) -> None:
    """Give a job its result, unless its caller has cancelled it."""
    with suppress(InvalidStateError):
        job.result.set_result(result)
