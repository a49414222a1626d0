"""Checks the teacher's pairs by a judge: is the correction better than the response?"""

from collections.abc import Iterable, Sequence
from typing import Any

from aligners.core.rates import rate
from aligners.core.rows import Row, seeded_order
from aligners.judging.comparison_files import TextPair
from aligners.judging.judge import Judge
from aligners.judging.judged_pairs import texts_to_judge, verdict_row
from aligners.statistics.verdicts import TIE
from aligners.synthesis.training_sets import is_identity

# The interval of a share of 50 is at most 27 points wide, which shows a useless teacher.
JUDGED_PAIRS = 50


def sample_corrected(pairs: Iterable[Row], seed: int) -> list[TextPair]:
    """Return a seeded sample of the pairs whose correction differs from the response."""
    corrected = [pair for pair in pairs if not is_identity(pair)]
    chosen = sorted(corrected, key=lambda pair: seeded_order(pair, seed))[:JUDGED_PAIRS]
    return [
        TextPair(
            {**pair, "category": None, "category_id": None},
            pair["aligned_response"],
            pair["response"],
            unchanged=False,
        )
        for pair in chosen
    ]


def check_pairs(judge: Judge, pairs: Sequence[TextPair]) -> dict[str, Any]:
    """Let a judge compare correction and response, each pair in both orders.

    Returns:
        `correction_preferred`: the share of the pairs with a verdict in which the judge prefers the
        correction in the mean of both orders, with its 95% interval and n. `ties`: in how many of
        them it prefers neither. `no_verdict`: pairs without a verdict in both orders.

    Raises:
        UserError: the judge cannot be used.
    """
    verdicts = judge.judge(texts_to_judge(pairs))
    rows = [verdict_row(pair, verdicts) for pair in pairs]
    judged = [
        (row["first_order"] + row["second_order"]) / 2
        for row in rows
        if row["first_order"] is not None and row["second_order"] is not None
    ]
    return {
        "correction_preferred": rate(preference > TIE for preference in judged),
        "ties": sum(preference == TIE for preference in judged),
        "no_verdict": len(rows) - len(judged),
    }
