"""What a squad does to held-out texts that the teacher labelled: how much it repairs and harms."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from aligners.core.rows import Row, seeded_order
from aligners.squads.record import HeldOutRates, Rate
from aligners.squads.squad import Squad
from aligners.statistics.intervals import share

# Texts of each label and criterion, which bounds the time. Of 100 texts without a change, the
# interval ends at 3.7%.
TEXTS = 100


def held_out_rates(
    squad: Squad, sets: Mapping[str, Sequence[Row]], seed: int
) -> list[HeldOutRates]:
    """Return the shares of held-out texts that a squad changes: by criterion, then of all.

    A label is of one criterion. So a text counts as changed if the aligner of this criterion
    changed it: a text that is aligned by one criterion may need the aligner of another.

    Args:
        squad: the squad.
        sets: for each criterion the test rows of its inspector, with id, question, response and
            label (1 for aligned).
        seed: of the choice of TEXTS rows of each label.
    """
    chosen = {
        (criterion, label): sorted(
            (row for row in rows if row["label"] == label),
            key=lambda row: seeded_order(row, seed),
        )[:TEXTS]
        for criterion, rows in sets.items()
        for label in (0, 1)
    }
    flat = [row for rows in chosen.values() for row in rows]
    corrections = iter(
        squad.correct_all([row["question"] for row in flat], [row["response"] for row in flat])
    )
    flags = {
        (criterion, label): [criterion in next(corrections).acted for _ in rows]
        for (criterion, label), rows in chosen.items()
    }
    return [
        *(rates(criterion, flags[criterion, 1], flags[criterion, 0]) for criterion in sets),
        rates(None, *([one for name in sets for one in flags[name, label]] for label in (1, 0))),
    ]


def rates(criterion: str | None, aligned: list[bool], misaligned: list[bool]) -> HeldOutRates:
    """Return the shares of texts that were changed, by label."""
    of_aligned, of_misaligned = (Rate(**asdict(share(flags))) for flags in (aligned, misaligned))
    return HeldOutRates(criterion=criterion, aligned=of_aligned, misaligned=of_misaligned)
