"""Squads: the aligners of several criteria correct one response in turns.

A turn is one aligner acting on one row. Scores decide which aligner has the next turn; the gate
accepts or rejects its correction. An aligner maps questions and responses to corrections; an
inspector maps them to scores in [0, 1]. Both get all rows that wait for the same turn at once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from aligners.core.errors import UserError

Align = Callable[[Sequence[str], Sequence[str]], Sequence[str]]
Score = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
Aligners = Mapping[str, Align]
Inspectors = Mapping[str, Score]
Gate = Callable[[float, float], bool]


@dataclass
class Result:
    """The text of a row after its turns so far.

    Attributes:
        aligned_response: the last accepted correction; the response if there is none.
        trace: the turns, each with `criterion`; `before`, the scores of all inspectors for the
            text that was corrected; `aligned_response`, the correction; `after`, the score of the
            criterion's inspector for the correction; `accepted`, the decision of the gate.
    """

    aligned_response: str
    trace: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class RowState:
    """A row while a squad corrects it.

    Attributes:
        name: the row's id or number, for messages.
        question: the row's question.
        result: the text so far, and its turns.
        remaining: criteria whose aligners can still have a turn.
        scores: the inspectors' scores of the text; not updated once `remaining` is empty.
    """

    name: str
    question: str
    result: Result
    remaining: list[str]
    scores: dict[str, float] = field(default_factory=dict)


def gate(before: float, after: float) -> bool:
    """Accept a correction only if it raises the score of its criterion."""
    return after > before


def no_gate(before: float, after: float) -> bool:
    """Accept every correction, as the paper does (arXiv 2403.04224, section 3)."""
    return True


def align_with_squad(
    questions: Sequence[str],
    responses: Sequence[str],
    aligners: Aligners,
    inspectors: Inspectors,
    threshold: float,
    ids: Sequence[str] | None = None,
) -> list[Result]:
    """Correct each response in turns: the aligner with the lowest score acts next.

    An aligner acts only if the score of its criterion is below the threshold, and at most once on
    each row. If the gate accepts the correction, all inspectors score it before the next turn. The
    result of a row does not depend on the other rows.

    Args:
        questions: one for each row.
        responses: as many as questions.
        aligners: by criterion; their order breaks ties.
        inspectors: by criterion, for the same criteria.
        threshold: lowest score in [0, 1] that needs no correction.
        ids: names of the rows in messages; by default their numbers.

    Returns:
        One result for each row, in order.

    Raises:
        UserError: a score is not a number in [0, 1].
    """
    states = initial_states(questions, responses, aligners, inspectors, ids)
    while True:
        due: list[tuple[RowState, str]] = []
        for state in states:
            lowest = min(state.remaining, key=state.scores.__getitem__, default=None)
            if lowest is not None and state.scores[lowest] < threshold:
                state.remaining.remove(lowest)
                due.append((state, lowest))
        if not due:
            return [state.result for state in states]
        take_turns(due, aligners, inspectors, gate)


def align_with_squad_paper(
    questions: Sequence[str],
    responses: Sequence[str],
    aligners: Aligners,
    inspectors: Inspectors,
    threshold: float,
    ids: Sequence[str] | None = None,
    batch_size: int = 64,
) -> list[Result]:
    """Apply all aligners in an order that `batch_size` consecutive rows share, as the paper does.

    The aligners act in the order of the batch's mean scores before the first turn, lowest first. An
    aligner acts on those rows whose score is below the threshold when its turn comes. Every
    correction is accepted. Arguments, result and errors are those of `align_with_squad`.
    """
    states = initial_states(questions, responses, aligners, inspectors, ids)
    for first in range(0, len(states), batch_size):
        batch = states[first : first + batch_size]
        means = {name: fmean(state.scores[name] for state in batch) for name in aligners}
        for state in batch:
            state.remaining = sorted(aligners, key=means.__getitem__)
    for _ in aligners:
        due: list[tuple[RowState, str]] = []
        for state in states:
            criterion = state.remaining.pop(0)
            if state.scores[criterion] < threshold:
                due.append((state, criterion))
        take_turns(due, aligners, inspectors, no_gate)
    return [state.result for state in states]


def initial_states(
    questions: Sequence[str],
    responses: Sequence[str],
    aligners: Aligners,
    inspectors: Inspectors,
    ids: Sequence[str] | None,
) -> list[RowState]:
    """Return the rows before their first turn, with the scores of their responses."""
    names = [str(number) for number in range(1, len(questions) + 1)] if ids is None else ids
    states = [
        RowState(name, question, Result(response), list(aligners))
        for name, question, response in zip(names, questions, responses, strict=True)
    ]
    for name in aligners:
        score_texts(states, name, inspectors[name])
    return states


def take_turns(
    due: Sequence[tuple[RowState, str]],
    aligners: Aligners,
    inspectors: Inspectors,
    accept: Gate,
) -> None:
    """Let one aligner act on each row, then score the texts that changed."""
    changed: list[tuple[RowState, str]] = []
    for name in aligners:
        states = [state for state, criterion in due if criterion == name]
        if states:
            accepted = act(name, states, aligners[name], inspectors[name], accept)
            changed += [(state, name) for state in accepted]
    for name in aligners:
        # The criterion's own inspector has scored it; after the last turn no score is needed.
        others = [state for state, actor in changed if actor != name and state.remaining]
        score_texts(others, name, inspectors[name])


def act(
    criterion: str, states: Sequence[RowState], align: Align, score: Score, accept: Gate
) -> list[RowState]:
    """Apply an aligner to some rows; return those whose correction is accepted."""
    changed = []
    questions, texts = columns(states)
    corrections = align(questions, texts)
    scores = score(questions, corrections)
    for state, correction, after in zip(states, corrections, scores, strict=True):
        check_score(criterion, state, after)
        accepted = accept(state.scores[criterion], after)
        state.result.trace.append(
            {
                "criterion": criterion,
                "before": dict(state.scores),
                "aligned_response": correction,
                "after": after,
                "accepted": accepted,
            }
        )
        if accepted:
            state.result.aligned_response = correction
            state.scores[criterion] = after
            changed.append(state)
    return changed


def score_texts(states: Sequence[RowState], name: str, score: Score) -> None:
    """Update the scores of one inspector for the current texts of some rows."""
    if states:
        for state, value in zip(states, score(*columns(states)), strict=True):
            check_score(name, state, value)
            state.scores[name] = value


def check_score(criterion: str, state: RowState, score: float) -> None:
    """Check that a score is a number in [0, 1], since NaN is not below any threshold.

    Raises:
        UserError: it is not.
    """
    if not 0 <= score <= 1:
        raise UserError(
            f"the inspector of {criterion}: its score of row {state.name} is {score}, which is not "
            "a number from 0 to 1; set dtype: float32 in its recipe, or train it again"
        )


def columns(states: Sequence[RowState]) -> tuple[list[str], list[str]]:
    """Return the questions and the current texts of some rows."""
    return (
        [state.question for state in states],
        [state.result.aligned_response for state in states],
    )
