"""Verdicts on the pairs of comparisons: what a judge is asked, and the rows of its verdicts.

Each pair is judged in both orders. Two equal texts are a tie without a question to the judge. A
pair that occurs in several comparisons is judged once.
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
    """The verdict of a judge on two texts.

    Attributes:
        preference: for the answer shown first, from 0 to 1; None where the reply has none.
        reply: what the judge wrote; a ranking model writes nothing.
    """

    preference: float | None
    reply: str | None = None


Verdicts = Mapping[Shown, Verdict]


def both_orders(pair: Pair) -> tuple[Shown, Shown]:
    """Return a pair in both orders: our text first, then the reference's first."""
    question = pair.input["question"]
    return (
        (question, pair.output, pair.reference_output),
        (question, pair.reference_output, pair.output),
    )


def to_judge(pairs: Iterable[Pair]) -> list[Shown]:
    """Return what to show a judge: both orders of each pair, each once, without equal texts."""
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
