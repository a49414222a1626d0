"""The turns of a squad: the aligners of several criteria correct one response.

A turn is one aligner acting on one row. A margin is an inspector's log odds minus its threshold.
Margins decide which aligner has the next turn, and the gate accepts or rejects its correction.
Aligners and inspectors get all rows that wait for them at once. `aligners.squads` loads squads.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any, Protocol

from aligners.core.empty_texts import is_empty
from aligners.core.errors import UserError
from aligners.core.reasons import (
    ABOVE_THRESHOLD,
    ACCEPTED,
    EMPTY_RESPONSE,
    LEAST_NOT_RAISED,
    QUESTION_TOO_LONG,
    UNFAMILIAR,
)
from aligners.core.sentences import first_of_correction
from aligners.correction.gate import Decision, Gate, PaperGate
from aligners.correction.problems import AlignerCorrection
from aligners.correction.turns import Scores, traced_turn

# The log odds of the probability 0.5: the paper corrects a response that its inspector, a
# classifier with two classes, finds misaligned (arXiv 2403.04224, section 3).
PAPER_THRESHOLD = 0.0
# Rows of a batch of the paper's squad.
PAPER_BATCH_SIZE = 64


class ScoreError(UserError):
    """The score of a text is not a number.

    Attributes:
        criterion: of the inspector.
    """

    def __init__(self, message: str, criterion: str):
        super().__init__(message)
        self.criterion = criterion


class Inspector(Protocol):
    """Scores responses by one criterion."""

    def log_odds(
        self, questions: Sequence[str], responses: Sequence[str]
    ) -> Sequence[float | None]:
        """Return the calibrated log odds of "aligned" of each whole response.

        None if the question leaves no room to read a response.
        """


Align = Callable[[Sequence[str], Sequence[str]], Sequence[AlignerCorrection]]
Aligners = Mapping[str, Align]
Inspectors = Mapping[str, Inspector]


@dataclass
class Result:
    """The text of a row after its turns so far.

    Attributes:
        aligned_response: the last accepted correction; the response if there is none.
        scores: P(aligned) of the response by criterion; None where the inspector cannot read it.
        reason: why no aligner acted, one of `reasons.ROW_REASONS`; None if one did.
        trace: the turns (`traced_turn`).
    """

    aligned_response: str
    scores: dict[str, float | None]
    reason: str | None = None
    trace: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class RowState:
    """A row while a squad corrects it.

    Attributes:
        name: the row's id or number, for messages.
        question: the row's question.
        result: the text so far, and its turns.
        remaining: criteria whose aligners can still have a turn; none if the row is left alone.
        scores: of the text so far; no criteria if an inspector cannot read the response.
        draft: a correction that was rejected only because another criterion is still as low, and
            its scores. The next aligner reads it: its correction can be accepted with this one.
    """

    name: str
    question: str
    result: Result
    remaining: list[str]
    scores: Scores
    draft: tuple[str, Scores] | None = None

    @property
    def shown(self) -> tuple[str, Scores]:
        """The text that the next aligner reads, and its scores."""
        return self.draft or (self.result.aligned_response, self.scores)

    def leave_alone(self, reason: str) -> None:
        """Let no aligner act."""
        self.result.reason, self.remaining = reason, []


# A row, the criterion whose aligner corrected it, and the correction.
Turn = tuple[RowState, str, AlignerCorrection]


@dataclass(frozen=True)
class SquadModels:
    """Aligners and inspectors of the same criteria, whose order breaks ties, with a gate.

    Attributes:
        thresholds: by criterion, the log odds from which on a text needs no correction.
    """

    aligners: Aligners
    inspectors: Inspectors
    thresholds: Mapping[str, float]
    gate: Gate | PaperGate

    def start(
        self, questions: Sequence[str], responses: Sequence[str], ids: Sequence[str] | None
    ) -> list[RowState]:
        """Return the rows before their first turn.

        Those that are empty, or that an inspector cannot read, are left alone.
        """
        names = [str(number) for number in range(1, len(questions) + 1)] if ids is None else ids
        scored = self.log_odds(questions, responses)
        states = []
        for name, question, text, log_odds in zip(names, questions, responses, scored, strict=True):
            scores = self.measure(name, log_odds)
            initial = {criterion: scores.probabilities.get(criterion) for criterion in log_odds}
            state = RowState(name, question, Result(text, initial), list(self.aligners), scores)
            if len(scores.margins) < len(log_odds):
                state.leave_alone(QUESTION_TOO_LONG)
            elif is_empty(text):
                # There is nothing to correct: whatever an aligner wrote would be its invention.
                state.leave_alone(EMPTY_RESPONSE)
            states.append(state)
        return states

    def log_odds(
        self, questions: Sequence[str], texts: Sequence[str]
    ) -> list[dict[str, float | None]]:
        """Return the log odds of each text by criterion."""
        if not texts:
            return []
        columns = [self.inspectors[name].log_odds(questions, texts) for name in self.aligners]
        return [dict(zip(self.aligners, row, strict=True)) for row in zip(*columns, strict=True)]

    def measure(self, row: str, log_odds: Mapping[str, float | None]) -> Scores:
        """Return a row's log odds with their margins, of the inspectors that can read the text.

        Raises:
            ScoreError: one is not a finite number; NaN is not below any threshold.
        """
        checked = {}
        for criterion, value in log_odds.items():
            if value is None:
                continue
            if not math.isfinite(value):
                raise ScoreError(
                    f"the inspector of {criterion}: its log odds of row {row} are {value}, which "
                    "is not a number; set dtype: float32 in its recipe, or train it again",
                    criterion,
                )
            checked[criterion] = float(value)
        margins = {name: value - self.thresholds[name] for name, value in checked.items()}
        return Scores(checked, margins)

    def take_turns(self, due: Sequence[tuple[RowState, str]]) -> None:
        """Let one aligner act on each row, then score all corrections and decide on them."""
        turns: list[Turn] = []
        for name in self.aligners:
            turns += self.generate([state for state, criterion in due if criterion == name], name)
        self.decide(turns)

    def generate(self, states: Sequence[RowState], criterion: str) -> list[Turn]:
        """Let the aligner of a criterion correct rows, and decide on nothing.

        An error of the aligner gets the attribute `criterion`.
        """
        if not states:
            return []
        questions, texts = zip(*((state.question, state.shown[0]) for state in states), strict=True)
        try:
            corrections = self.aligners[criterion](questions, texts)
        except Exception as error:
            error.criterion = criterion  # type: ignore[attr-defined]
            raise
        return [(state, criterion, each) for state, each in zip(states, corrections, strict=True)]

    def decide(self, turns: Sequence[Turn]) -> None:
        """Score corrections, and end the turns of their rows.

        A correction that an inspector cannot read is rejected. An error leaves all rows as they
        were.
        """
        rejections = [self.gate.reject_text(each, state.shown[0]) for state, _, each in turns]
        judged = list(zip(turns, rejections, strict=True))
        passed = [turn for turn, rejection in judged if rejection is None]
        scored = self.log_odds(
            [state.question for state, _, _ in passed], [each.text for _, _, each in passed]
        )
        measured = [
            self.measure(state.name, log_odds)
            for (state, _, _), log_odds in zip(passed, scored, strict=True)
        ]
        for (state, criterion, correction), rejection in judged:
            if rejection is not None:
                end_turn(state, criterion, correction.text, None, Decision(rejection))
        for (state, criterion, correction), after in zip(passed, measured, strict=True):
            if len(after.margins) < len(self.inspectors):
                end_turn(state, criterion, correction.text, None, Decision(QUESTION_TOO_LONG))
                continue
            margins = state.scores.margins, state.shown[1].margins, after.margins
            end_turn(
                state, criterion, correction.text, after, self.gate.decide(criterion, *margins)
            )


def end_turn(
    state: RowState, criterion: str, correction: str, after: Scores | None, decision: Decision
) -> None:
    """Add a turn to the trace of a row; its correction can become the row's text or draft."""
    state.result.trace.append(traced_turn(criterion, state.shown[1], correction, after, decision))
    if after and decision.reason == ACCEPTED:
        state.result.aligned_response, state.scores, state.draft = correction, after, None
    elif after and decision.reason == LEAST_NOT_RAISED:
        state.draft = correction, after


def leave_unfamiliar(states: Sequence[RowState], familiar: Sequence[bool]) -> None:
    """Leave the rows alone that need an aligner and whose questions are unlike the training's."""
    for state, is_familiar in zip(states, familiar, strict=True):
        if not is_familiar and next_criterion(state) is not None:
            state.leave_alone(UNFAMILIAR)


def next_criterion(state: RowState) -> str | None:
    """Return the criterion with the lowest margin if it is below 0; None if no aligner is due."""
    margins = state.shown[1].margins
    lowest = min(state.remaining, key=margins.__getitem__, default=None)
    return lowest if lowest is not None and margins[lowest] < 0 else None


# Returns the criterion whose aligner has the next turn on a row, and takes it from those that
# remain; None if no aligner has one.
NextTurn = Callable[[RowState], str | None]


def next_by_margin(state: RowState) -> str | None:
    """Return the criterion with the lowest margin below 0 (a `NextTurn`).

    Each aligner acts at most once on a row. The result of a row does not depend on other rows.
    """
    criterion = next_criterion(state)
    if criterion is not None:
        state.remaining.remove(criterion)
    return criterion


def next_in_order(state: RowState) -> str | None:
    """Return the next criterion in the row's order whose margin is below 0 (a `NextTurn`)."""
    while state.remaining:
        criterion = state.remaining.pop(0)
        if state.scores.margins[criterion] < 0:
            return criterion
    return None


def take_all_turns(models: SquadModels, states: Sequence[RowState], next_turn: NextTurn) -> None:
    """Let aligners act on the rows until none has a turn."""
    while due := [(state, name) for state in states if (name := next_turn(state)) is not None]:
        models.take_turns(due)


def order_by_mean_score(
    models: SquadModels, states: Sequence[RowState], batch_size: int = PAPER_BATCH_SIZE
) -> None:
    """Give the rows of each batch one order of the criteria, as the paper does.

    The rows of a batch follow each other in the order of question and response. The order is that
    of the batch's mean scores before the first turn, lowest first.
    """
    ordered = sorted(states, key=lambda state: (state.question, state.result.aligned_response))
    for first in range(0, len(states), batch_size):
        batch = [state for state in ordered[first : first + batch_size] if state.remaining]
        if batch:
            means = {
                name: fmean(state.scores.probabilities[name] for state in batch)
                for name in models.aligners
            }
        for state in batch:
            state.remaining = sorted(models.aligners, key=means.__getitem__)


def with_first_sentences(align: Align) -> Align:
    """Return an aligner that writes only the first sentence, as in the paper's code."""

    def align_to_first_sentence(
        questions: Sequence[str], responses: Sequence[str]
    ) -> list[AlignerCorrection]:
        return [
            replace(correction, text=first_of_correction(correction.text))
            for correction in align(questions, responses)
        ]

    return align_to_first_sentence


def results_of(states: Sequence[RowState]) -> list[Result]:
    """Return the results; rows that needed no turn get their reason."""
    for state in states:
        if not state.result.trace and state.result.reason is None:
            state.result.reason = ABOVE_THRESHOLD
    return [state.result for state in states]
