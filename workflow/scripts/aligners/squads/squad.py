"""A trained squad, loaded from its directory: it scores and corrects the responses of any LLM."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Self

from aligners.configuration.kinds.inference import Inference
from aligners.configuration.systems import SYSTEMS
from aligners.core.errors import UserError
from aligners.correction.aligner import IN_PROCESS
from aligners.correction.squad import (
    Result,
    RowState,
    SquadModels,
    leave_unfamiliar,
    next_by_margin,
    next_criterion,
    next_in_order,
    order_by_mean_score,
    results_of,
    take_all_turns,
    with_first_sentences,
)
from aligners.squads.batcher import Batcher
from aligners.squads.correction import Correction
from aligners.squads.directory import find_squad
from aligners.squads.models import Familiar, close_all, load_aligners, load_familiar, load_models
from aligners.squads.record import FILE_NAME, SquadRecord, check_files, read_record


class Squad:
    """Inspectors and aligners of several criteria, with a gate. Threads can share one.

    Attributes:
        record: what the squad consists of and how it was tested (squad.json).
        criteria: the names of its criteria.
        thresholds: by criterion, the log odds from which on a text needs no correction.
    """

    def __init__(
        self,
        record: SquadRecord,
        models: SquadModels,
        familiar: Familiar,
        stop_servers: Callable[[], None] = lambda: None,
        in_flight: int = 0,
    ):
        """Use loaded models; `load` loads them.

        Args:
            record: of the squad.
            models: its aligners, inspectors and gate.
            familiar: returns for each question whether it is like those of the training.
            stop_servers: stops the servers of the aligners, if there are any.
            in_flight: rows that the servers of the aligners can have at the same time; 0 if the
                aligners generate in this process.
        """
        self.record, self.models, self.familiar = record, models, familiar
        self.stop_servers, self.in_flight = stop_servers, in_flight
        self.lock = Lock()
        self.running: Batcher | None = None
        self.criteria, self.thresholds = record.criteria, models.thresholds
        self.gated = SYSTEMS[record.system].gated

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        revision: str | None = None,
        inference: Inference = IN_PROCESS,
    ) -> "Squad":
        """Load a squad, and check that its files are complete.

        Args:
            path: its directory, such as results/squads/{backbone}/{system}, or its repository on
                the Hugging Face Hub as owner/name or owner/name@revision.
            revision: branch, tag or commit on the Hub; by default, that of the name, or the main
                branch.
            inference: where the aligners generate; by default, in this process.
                `load_inference` reads it from a file.

        Raises:
            UserError: the directory is none of a squad, is incomplete, damaged or of another
                version, or the Hub cannot be reached.
        """
        directory = find_squad(path, revision)
        record = read_record(directory)
        check_files(directory, record)
        if record.system not in SYSTEMS:
            raise UserError(
                f"{directory / FILE_NAME}: the system {record.system!r} is unknown; use one of "
                f"{', '.join(SYSTEMS)}"
            )
        aligners = load_aligners(directory, record, inference)
        in_flight = rows_in_flight(inference)
        models = load_models(directory, record, aligners, take_turns=not in_flight)
        familiar = load_familiar(directory, record)
        stop_servers = partial(close_all, list(aligners.values()))
        return cls(record, models, familiar, stop_servers, in_flight)

    def correct(self, question: str, response: str) -> Correction:
        """Return a response after the squad (`correct_all`)."""
        return self.correct_all([question], [response])[0]

    def correct_all(self, questions: Sequence[str], responses: Sequence[str]) -> list[Correction]:
        """Return each response after the squad, in order.

        Models get all rows that wait for them at once, so a list takes less time than its rows one
        by one. The correction of a row does not depend on the other rows, except with the system
        squad-paper.

        Args:
            questions: the user's question, one for each row.
            responses: the LLM's response to each question.

        Raises:
            UserError: a text is not valid Unicode or no text, the scores of a row are not a number,
                or the server of an aligner cannot be used at all: it is down, or rejects the key or
                all requests. If it fails for a row only, the action of the row is `failed`.
            ValueError: there are not as many responses as questions.
        """
        results = self.align(questions, responses)
        return [
            Correction.of(response, result)
            for response, result in zip(responses, results, strict=True)
        ]

    async def acorrect(self, question: str, response: str) -> Correction:
        """Return a response after the squad, as `correct`; calls that wait are batched together.

        The models work in threads of their own, so the event loop is not blocked.

        Raises:
            UserError: as `correct_all`.
            RuntimeError: the squad is closed while this call begins.
        """
        return await asyncio.wrap_future(self.batcher.correct(question, response))

    def inspect(self, question: str, response: str) -> dict[str, float | None]:
        """Return the scores of a response (`inspect_all`)."""
        return self.inspect_all([question], [response])[0]

    def inspect_all(
        self, questions: Sequence[str], responses: Sequence[str]
    ) -> list[dict[str, float | None]]:
        """Return P(aligned) by criterion, in [0, 1], of each response, in order.

        None: the question leaves the inspector no room to read the response. Arguments and errors
        are those of `correct_all`.
        """
        check_texts(questions, responses)
        states = self.models.start(questions, responses, None)
        return [state.result.scores for state in states]

    def align(
        self,
        questions: Sequence[str],
        responses: Sequence[str],
        ids: Sequence[str] | None = None,
        first_sentences: bool = False,
    ) -> list[Result]:
        """Return the result of each row's turns, in order.

        Args:
            questions, responses: as for `correct_all`.
            ids: names of the rows in messages; by default their numbers.
            first_sentences: whether aligners write only the first sentence, as in the paper's code.
        """
        states = self.begin(questions, responses, ids)
        self.complete(states, first_sentences)
        return results_of(states)

    def begin(
        self, questions: Sequence[str], responses: Sequence[str], ids: Sequence[str] | None = None
    ) -> list[RowState]:
        """Score the responses, and return the rows before their first turn."""
        check_texts(questions, responses)
        return self.models.start(questions, responses, ids)

    def is_done(self, state: RowState) -> bool:
        """Return whether no aligner has to act on a row."""
        return next_criterion(state) is None

    def prepare(self, states: Sequence[RowState]) -> None:
        """Decide on rows of `begin` before their first turn, such as on unfamiliar questions.

        The sentence encoder takes longer than the inspectors of a demo. So only the questions are
        encoded whose responses need an aligner.
        """
        if not self.gated:
            order_by_mean_score(self.models, states)
            return
        due = [state for state in states if not self.is_done(state)]
        leave_unfamiliar(due, self.familiar([state.question for state in due]))

    def next_turn(self, state: RowState) -> str | None:
        """Return the criterion whose aligner acts next on a row; None if no aligner does.

        The next call returns the criterion after it.
        """
        return next_by_margin(state) if self.gated else next_in_order(state)

    def complete(self, states: Sequence[RowState], first_sentences: bool = False) -> None:
        """Let the aligners act on rows of `begin`."""
        self.prepare(states)
        models = self.models
        if first_sentences:
            aligners = {name: with_first_sentences(one) for name, one in models.aligners.items()}
            models = replace(models, aligners=aligners)
        take_all_turns(models, states, self.next_turn)

    def __enter__(self) -> Self:
        """Use the squad in a `with` statement, whose end closes it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Close the squad, also after an error."""
        self.close()

    def close(self) -> None:
        """Finish what waits for `acorrect`, and stop the servers that the aligners started.

        It blocks until then, but does not wait for a server whose rows are all of calls that were
        cancelled before. The end of the process stops servers too. A squad can be used again: the
        next call starts what it needs.
        """
        with self.lock:
            batcher, self.running = self.running, None
        if batcher is not None:
            batcher.close()
        self.stop_servers()

    @property
    def batcher(self) -> Batcher:
        """The threads in which the models work for `acorrect`, and for a server."""
        with self.lock:
            if self.running is None:
                self.running = Batcher(self)
            return self.running


def rows_in_flight(inference: Inference) -> int:
    """Return how many rows the servers of aligners can have at the same time; 0 without servers.

    Servers that run in turn have none either: a row for another one would stop the first.
    """
    on_servers = inference.engine != "transformers" and not inference.in_turn
    return inference.concurrency if on_servers else 0


def check_texts(questions: Sequence[str], responses: Sequence[str]) -> None:
    """Check that there are as many responses as questions, and that all are valid Unicode.

    Raises:
        UserError: a text is no text, such as None for a response that calls a tool, or has half of
            a surrogate pair, which no tokenizer can read.
        ValueError: the numbers differ.
    """
    if len(questions) != len(responses):
        raise ValueError(f"{len(questions)} questions, but {len(responses)} responses")
    for name, texts in (("question", questions), ("response", responses)):
        for number, text in enumerate(texts, start=1):
            if not isinstance(text, str):
                raise UserError(
                    f"row {number}: the {name} is no text but {text!r:.50}; leave the row out"
                )
            try:
                text.encode()
            except UnicodeEncodeError:
                raise UserError(
                    f"row {number}: the {name} has half of a surrogate pair, which is not a "
                    "character; decode the text correctly, or remove it"
                ) from None
