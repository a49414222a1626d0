"""The mean and the spread of a figure over several trainings."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import fmean, stdev


@dataclass(frozen=True)
class Spread:
    """The spread of a figure over training seeds; all numbers are None without a value.

    Attributes:
        mean: over the seeds.
        sd: standard deviation of a sample (n - 1); None if only one seed has a value.
        min, max: the range.
        seeds: number of seeds with a value.
    """

    mean: float | None
    sd: float | None
    min: float | None
    max: float | None
    seeds: int


def spread(values: Iterable[float | None]) -> Spread:
    """Return the spread of a figure's values, one for each seed; None and NaN are left out."""
    known = [value for value in values if value is not None and value == value]
    if not known:
        return Spread(None, None, None, None, 0)
    sd = stdev(known) if len(known) > 1 else None
    return Spread(fmean(known), sd, min(known), max(known), len(known))
