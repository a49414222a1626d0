"""Two ways to do the same, timed in turns in one process: A B A B."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from aligners.core.rows import Row

ROUNDS = 2
WARM_UP_ROWS = 4

Way = Callable[[Sequence[Row]], list[Any]]


def compare(
    rows: Sequence[Row], reference: Way, ours: Way
) -> tuple[dict[str, float], list[Any], list[Any]]:
    """Return rows per second of both ways with their ratio, and what each of them returned.

    Rates are medians over the rounds, and so is the ratio, which is taken within each round: what
    slows the machine down for a while slows both. A few rows go through both ways beforehand.
    """
    seconds: dict[Way, list[float]] = {reference: [], ours: []}
    outputs: dict[Way, list[Any]] = {}
    for way in (reference, ours):
        way(rows[:WARM_UP_ROWS])
    for _ in range(ROUNDS):
        for way in (reference, ours):
            started = time.perf_counter()
            outputs[way] = way(rows)
            seconds[way].append(time.perf_counter() - started)
    pairs = zip(seconds[reference], seconds[ours], strict=True)
    rates = {
        "reference, rows/s": len(rows) / median(seconds[reference]),
        "ours, rows/s": len(rows) / median(seconds[ours]),
        "ratio": median(theirs / own for theirs, own in pairs),
    }
    return rates, outputs[reference], outputs[ours]
