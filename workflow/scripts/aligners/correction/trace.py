"""Turns in the trace of a corrected response, described in words."""

from typing import Any

Turn = dict[str, Any]

DIGITS = 3


def describe_turn(turn: Turn) -> str:
    """Describe a turn: the inspector's score before and after, and the decision of the gate."""
    if turn["before"] is None:
        return "acted; no inspector scored it"
    before, after = turn["before"][turn["criterion"]], turn["after"]
    change = "rose" if after > before else "fell" if after < before else "stayed the same"
    if not turn["accepted"]:
        outcome = f"rejected: the score {change}"
    elif after > before:
        outcome = f"accepted: the score {change}"
    else:
        outcome = f"accepted without a gate: the score {change}"
    return f"{format_scores(before, after)}  {outcome}"


def format_scores(before: float, after: float) -> str:
    """Return two scores, with enough digits to distinguish them, such as `0.4964 → 0.4962`."""
    form, digits = f".{DIGITS}f", DIGITS
    while before != after and f"{before:{form}}" == f"{after:{form}}":
        form, digits = f".{digits}g", digits + 1
    return f"{before:{form}} → {after:{form}}"
