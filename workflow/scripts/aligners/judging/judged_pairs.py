"""Pairs of texts for a judge, and its verdicts as rows.

Each pair is judged in both orders. Two equal texts are a tie, and the judge does not get them. A
pair that occurs in several comparisons is judged once.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from aligners.core.rows import Row
from aligners.judging.comparison_files import TextPair
from aligners.statistics.verdicts import TIE

# The question, the text shown first, and the text shown second.
ShownTexts = tuple[str, str, str]


@dataclass(frozen=True)
class Verdict:
    """The verdict of a judge on two texts.

    Attributes:
        preference: from 0 to 1, for the text shown first; None if the reply is not a verdict.
        reply: the judge's completion; None for a ranking model.
    """

    preference: float | None
    reply: str | None = None


Verdicts = Mapping[ShownTexts, Verdict]


def both_orders(pair: TextPair) -> tuple[ShownTexts, ShownTexts]:
    """Return a pair in both orders: the system's text first, then the reference's text first."""
    question = pair.input["question"]
    return (
        (question, pair.output, pair.reference_output),
        (question, pair.reference_output, pair.output),
    )


def texts_to_judge(pairs: Iterable[TextPair]) -> list[ShownTexts]:
    """Return both orders of each pair, without repetitions and without pairs of equal texts."""
    unequal = (pair for pair in pairs if pair.output != pair.reference_output)
    return list(dict.fromkeys(order for pair in unequal for order in both_orders(pair)))


def verdict_row(pair: TextPair, verdicts: Verdicts) -> Row:
    """Return the row of a pair in a file of verdicts (docs/data.md); equal texts are a tie."""
    identical = pair.output == pair.reference_output
    if identical:
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
        "identical": identical,
        "first_reply": first.reply,
        "second_reply": second.reply,
    }
