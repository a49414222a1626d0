"""Verdicts on the pairs of comparisons: which are asked for, and the rows they become.

Each pair is judged in both orders. Answers that are equal are a tie that nobody is asked about, and
what several comparisons have in common is asked once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aligners.core.rows import Row
from aligners.judging.comparison_files import Pair
from aligners.statistics.verdicts import TIE

# A question, the answer that is shown first, and the one that is shown second.
Shown = tuple[str, str, str]


@dataclass(frozen=True)
class Verdict:
    """What a judge said of two answers.

    Attributes:
        preference: for the answer shown first, from 0 to 1; None where the reply has none.
        reply: what the judge wrote; a ranking model writes nothing.
    """

    preference: float | None
    reply: str | None = None


Verdicts = Mapping[Shown, Verdict]


def both_orders(pair: Pair) -> tuple[Shown, Shown]:
    """Return a pair as a judge is shown it: with our answer first, and with the reference's."""
    question = pair.input["question"]
    return (
        (question, pair.output, pair.reference_output),
        (question, pair.reference_output, pair.output),
    )


def to_judge(pairs: Iterable[Pair]) -> list[Shown]:
    """Return what a judge is to be shown for pairs: both orders, each once, no equal answers."""
    shown = (order for pair in pairs for order in both_orders(pair))
    return list(dict.fromkeys(one for one in shown if one[1] != one[2]))


def verdict_row(pair: Pair, verdicts: Verdicts) -> Row:
    """Return the row of a pair in a file of verdicts (docs/data.md); equal answers are a tie."""
    if pair.output == pair.reference_output:
        first = second = Verdict(TIE)
    else:
        first, second = (verdicts[order] for order in both_orders(pair))
    return {
        "id": pair.input["id"],
        "category": pair.input["category"],
        "category_id": pair.input["category_id"],
        "first_order": first.preference,
        "second_order": None if second.preference is None else 1 - second.preference,
        "length": len(pair.output),
        "reference_length": len(pair.reference_output),
        "unchanged": pair.unchanged,
        "first_reply": first.reply,
        "second_reply": second.reply,
    }
