"""Squads: the aligners of several criteria correct one response in turns.

A turn is one aligner acting on one row. Scores decide which aligner has the next turn; the gate
decides whether its correction is accepted. Aligners map questions and responses to corrections,
inspectors map them to scores in [0, 1]; rows with the same turn are one batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

Align = Callable[[Sequence[str], Sequence[str]], Sequence[str]]
Score = Callable[[Sequence[str], Sequence[str]], Sequence[float]]
Aligners = Mapping[str, Align]
Inspectors = Mapping[str, Score]


@dataclass
class Result:
    """An aligned response and the turns that led to it.

    Each entry of `trace` is a turn: `criterion`; `before`, the scores of all inspectors for the
    text that was corrected; `aligned_response`, the correction; `after`, the score of the
    criterion's inspector for the correction; `accepted`, the decision of the gate.
    """

    aligned_response: str
    trace: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class State:
    """A row on its way through a squad: its result so far, its scores, the aligners still to act.

    `scores` are those of the result's text; once no aligner is left, they are not kept up to date.
    """

    question: str
    result: Result
    left: list[str]
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
) -> list[Result]:
    """Correct each response by the aligner with the lowest score, until no score is too low.

    Each aligner has at most one turn on a row, and only if its score is below the threshold. If the
    gate accepts the correction, all inspectors score it before the next turn. The result of a row
    does not depend on the other rows.

    Args:
        questions: one for each row.
        responses: as many as questions.
        aligners: by criterion; their order breaks ties.
        inspectors: by criterion, for the same criteria.
        threshold: lowest score in [0, 1] that needs no correction.

    Returns:
        One result for each row, in order.
    """
    states = start(questions, responses, aligners, inspectors)
    while True:
        due: list[tuple[State, str]] = []
        for state in states:
            lowest = min(state.left, key=state.scores.__getitem__, default=None)
            if lowest is not None and state.scores[lowest] < threshold:
                state.left.remove(lowest)
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
    batch_size: int = 64,
) -> list[Result]:
    """Apply all aligners in an order that `batch_size` consecutive rows share, as the paper does.

    The order is that of the batch's mean scores before the first turn, lowest first. An aligner
    has its turn on each row whose score is below the threshold at that time. Every correction is
    accepted. Arguments and result are those of `align_with_squad`.
    """
    states = start(questions, responses, aligners, inspectors)
    for first in range(0, len(states), batch_size):
        batch = states[first : first + batch_size]
        means = {name: fmean(state.scores[name] for state in batch) for name in aligners}
        for state in batch:
            state.left = sorted(aligners, key=means.__getitem__)
    for _ in aligners:
        due: list[tuple[State, str]] = []
        for state in states:
            following = state.left.pop(0)
            if state.scores[following] < threshold:
                due.append((state, following))
        take_turns(due, aligners, inspectors, no_gate)
    return [state.result for state in states]


def start(
    questions: Sequence[str], responses: Sequence[str], aligners: Aligners, inspectors: Inspectors
) -> list[State]:
    """Return the rows with the scores of their responses."""
    states = [
        State(question, Result(response), list(aligners))
        for question, response in zip(questions, responses, strict=True)
    ]
    for name in aligners:
        score_texts(states, name, inspectors[name])
    return states


def take_turns(
    due: Sequence[tuple[State, str]],
    aligners: Aligners,
    inspectors: Inspectors,
    accept: Callable[[float, float], bool],
) -> None:
    """Apply the due aligner to each row, then score the texts that changed."""
    changed: list[tuple[State, str]] = []
    for name in aligners:
        states = [state for state, criterion in due if criterion == name]
        if not states:
            continue
        questions, texts = columns(states)
        corrections = aligners[name](questions, texts)
        scores = inspectors[name](questions, corrections)
        for state, correction, score in zip(states, corrections, scores, strict=True):
            accepted = accept(state.scores[name], score)
            state.result.trace.append(
                {
                    "criterion": name,
                    "before": dict(state.scores),
                    "aligned_response": correction,
                    "after": score,
                    "accepted": accepted,
                }
            )
            if accepted:
                state.result.aligned_response = correction
                state.scores[name] = score
                changed.append((state, name))
    for name in aligners:
        # The criterion's own inspector has scored it; after the last turn no score is needed.
        others = [state for state, actor in changed if actor != name and state.left]
        score_texts(others, name, inspectors[name])


def score_texts(states: Sequence[State], name: str, score: Score) -> None:
    """Let an inspector score the present texts of some rows."""
    if states:
        for state, value in zip(states, score(*columns(states)), strict=True):
            state.scores[name] = value


def columns(states: Sequence[State]) -> tuple[list[str], list[str]]:
    """Return the questions and the present texts of some rows."""
    return (
        [state.question for state in states],
        [state.result.aligned_response for state in states],
    )
