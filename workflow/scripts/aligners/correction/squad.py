"""Squads: several aligners on one answer, led by the inspectors of their criteria.

Pure functions over callables: an aligner maps questions and responses to aligned responses, an
inspector to scores in [0, 1]. Rows are batched by aligner and stage.
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
    """An aligned response and how it came about.

    Each entry of `trace` is one aligner's turn: `criterion`; `before`, the score of every
    inspector for the answer it was given; `aligned_response`, the answer it wrote; `after`, the
    score of its own inspector for that; `accepted`, whether it replaced the one before.
    """

    aligned_response: str
    trace: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class State:
    """A row on its way through a squad: its result so far, its scores and the aligners left."""

    question: str
    result: Result
    left: list[str]
    scores: dict[str, float] = field(default_factory=dict)


Choose = Callable[[State], str | None]


def align_with_squad(
    questions: Sequence[str],
    responses: Sequence[str],
    aligners: Aligners,
    inspectors: Inspectors,
    threshold: float,
) -> list[Result]:
    """Send each answer to the aligner whose inspector scores it lowest, until all are content.

    Each aligner has at most one turn on an answer, and only while its inspector's score is below
    the threshold. Its answer replaces the one before only if that score rises; then all inspectors
    score the new answer. A row's result does not depend on its neighbours.

    Args:
        questions, responses: equally many texts.
        aligners, inspectors: by criterion, the same criteria in both; their order breaks ties.
        threshold: score in [0, 1] from which an inspector is content.

    Returns:
        One result for each row, in order.
    """

    def lowest(state: State) -> str | None:
        criterion = min(state.left, key=lambda name: state.scores[name])
        return criterion if state.scores[criterion] < threshold else None

    states = start(questions, responses, aligners, inspectors)
    active = states
    while active := [state for state in active if state.left and lowest(state)]:
        take_turns(active, lowest, aligners, inspectors, gate=True)
    return [state.result for state in states]


def align_with_squad_paper(
    questions: Sequence[str],
    responses: Sequence[str],
    aligners: Aligners,
    inspectors: Inspectors,
    threshold: float,
    batch_size: int = 64,
) -> list[Result]:
    """Apply all aligners in an order that `batch_size` consecutive rows share, as the paper does.

    The order is that of the mean scores of the batch's initial answers, lowest first. At its turn
    an aligner replaces every answer that its inspector scores below the threshold, without a gate
    (arXiv 2403.04224, section 3). Arguments and result are those of `align_with_squad`.
    """
    states = start(questions, responses, aligners, inspectors)
    for first in range(0, len(states), batch_size):
        batch = states[first : first + batch_size]
        means = {name: fmean(state.scores[name] for state in batch) for name in aligners}
        for state in batch:
            state.left = sorted(aligners, key=means.__getitem__)

    def next_in_order(state: State) -> str | None:
        return state.left[0] if state.scores[state.left[0]] < threshold else None

    for _ in aligners:
        take_turns(states, next_in_order, aligners, inspectors, gate=False)
    return [state.result for state in states]


def start(
    questions: Sequence[str],
    responses: Sequence[str],
    aligners: Aligners,
    inspectors: Inspectors,
) -> list[State]:
    """Return the rows with the scores of their initial answers."""
    states = [
        State(question, Result(response), list(aligners))
        for question, response in zip(questions, responses, strict=True)
    ]
    for name in aligners:
        scores = inspectors[name](questions, responses) if states else []
        for state, score in zip(states, scores, strict=True):
            state.scores[name] = score
    return states


def take_turns(
    states: Sequence[State],
    choose: Choose,
    aligners: Aligners,
    inspectors: Inspectors,
    gate: bool,
) -> None:
    """Let each row's chosen aligner act, and score the answers that were accepted anew."""
    chosen = [(state, choose(state)) for state in states]
    accepted: list[tuple[State, str]] = []
    for name in aligners:
        acting = [state for state, choice in chosen if choice == name]
        if acting:
            done = act(acting, name, aligners[name], inspectors[name], gate)
            accepted += [(state, name) for state in done]
    for state, choice in chosen:
        state.left.remove(choice if choice is not None else state.left[0])
    for name in aligners:
        # Its own inspector has scored the answer already; nobody asks after the last turn.
        others = [state for state, actor in accepted if actor != name and state.left]
        for state, score in zip(others, ask(inspectors[name], others), strict=True):
            state.scores[name] = score


def act(states: Sequence[State], name: str, align: Align, score: Score, gate: bool) -> list[State]:
    """Let one aligner answer for its rows; return those whose answer was replaced."""
    questions = [state.question for state in states]
    answers = align(questions, [state.result.aligned_response for state in states])
    scores = score(questions, answers)
    replaced = []
    for state, answer, after in zip(states, answers, scores, strict=True):
        accepted = not gate or after > state.scores[name]
        state.result.trace.append(
            {
                "criterion": name,
                "before": dict(state.scores),
                "aligned_response": answer,
                "after": after,
                "accepted": accepted,
            }
        )
        if accepted:
            state.result.aligned_response = answer
            state.scores[name] = after
            replaced.append(state)
    return replaced


def ask(score: Score, states: Sequence[State]) -> Sequence[float]:
    """Return an inspector's scores of the rows' present answers."""
    if not states:
        return []
    return score(
        [state.question for state in states],
        [state.result.aligned_response for state in states],
    )
