"""The trace of a corrected response, described in words."""

from typing import Any

from aligners.core.reasons import (
    ABOVE_THRESHOLD,
    ACCEPTED,
    EMPTY,
    EMPTY_RESPONSE,
    FAILED,
    LEAST_NOT_RAISED,
    LOOPS,
    LOWERS_ANOTHER,
    NOT_ENDED,
    NOT_WRITTEN,
    QUESTION_TOO_LONG,
    ROSE_TOO_LITTLE,
    TOO_LONG,
    UNCHANGED,
    UNFAMILIAR,
)

Turn = dict[str, Any]

DIGITS = 3

# What the names of reasons mean.
WORDS = {
    ACCEPTED: "accepted",
    EMPTY: "the correction is empty",
    NOT_ENDED: "the correction reached the limit of tokens before its end",
    LOOPS: "the correction repeats itself",
    FAILED: "the request to the aligner's server failed",
    TOO_LONG: "the response is too long for the aligner to read and to repeat",
    UNCHANGED: "the correction equals the text",
    ROSE_TOO_LITTLE: "the score rose by less than squad_margin",
    LOWERS_ANOTHER: "another score falls below its threshold",
    LEAST_NOT_RAISED: "the lowest margin of all inspectors did not rise",
    QUESTION_TOO_LONG: "the question leaves an inspector no room to read the text",
    EMPTY_RESPONSE: "the response is empty",
    UNFAMILIAR: "the question is unlike the training questions",
    ABOVE_THRESHOLD: "no score was below its threshold",
}


def describe_turn(turn: Turn) -> str:
    """Describe a turn: the score and the margin before and after it, and the gate's decision."""
    criterion, decision = turn["criterion"], describe_decision(turn)
    if turn["before"] is None:
        return "acted; no inspector scored it" if turn["accepted"] else decision
    if turn["after"] is None:
        return f"{turn['before'][criterion]:.{DIGITS}f}  {decision}"
    scores = format_scores(turn["before"][criterion], turn["after"][criterion])
    before, after = (turn[key][criterion] for key in ("margins_before", "margins_after"))
    return f"{scores}  margin {before:+.1f} → {after:+.1f}  {decision}"


def hides_text(turn: Turn) -> bool:
    """Return whether the correction of a turn needs no text: it is accepted, or has no own text."""
    return turn["reason"] in (ACCEPTED, EMPTY, *NOT_WRITTEN, UNCHANGED)


def describe_decision(turn: Turn) -> str:
    """Describe the decision of the gate on a turn, with its reason."""
    reason = WORDS[turn["reason"]]
    if turn["accepted"]:
        return reason
    if turn["reason"] == LOWERS_ANOTHER:
        lowered = turn["lowered"]
        scores = format_scores(turn["before"][lowered], turn["after"][lowered])
        reason = f"{reason}: {lowered} {scores}"
    return f"rejected: {reason}"


def format_scores(before: float, after: float) -> str:
    """Return two scores, with enough digits to distinguish them, such as `0.4964 → 0.4962`."""
    form, digits = f".{DIGITS}f", DIGITS
    while before != after and f"{before:{form}}" == f"{after:{form}}":
        form, digits = f".{digits}g", digits + 1
    return f"{before:{form}} → {after:{form}}"
