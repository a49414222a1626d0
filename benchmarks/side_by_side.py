"""Two methods for the same task, timed alternately in one process: A B A B."""

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from aligners.core.rows import Row

ROUNDS = 2
WARM_UP_ROWS = 4

Method = Callable[[Sequence[Row]], list[Any]]


def compare(
    rows: Sequence[Row], reference: Method, ours: Method
) -> tuple[dict[str, float], list[Any], list[Any]]:
    """Return rows per second of both methods with their ratio, and the outputs of each.

    Rates and the ratio are medians over the rounds. The ratio is computed within each round, since
    a temporary load slows both methods. A few rows go through both methods first, as warm-up.
    """
    seconds: dict[Method, list[float]] = {reference: [], ours: []}
    outputs: dict[Method, list[Any]] = {}
    for method in (reference, ours):
        method(rows[:WARM_UP_ROWS])
    for _ in range(ROUNDS):
        for method in (reference, ours):
            started = time.perf_counter()
            outputs[method] = method(rows)
            seconds[method].append(time.perf_counter() - started)
    pairs = zip(seconds[reference], seconds[ours], strict=True)
    rates = {
        "reference, rows/s": len(rows) / median(seconds[reference]),
        "ours, rows/s": len(rows) / median(seconds[ours]),
        "ratio": median(theirs / own for theirs, own in pairs),
    }
    return rates, outputs[reference], outputs[ours]
