"""The gate of a squad: it accepts a correction, or rejects it for a reason.

A margin is a text's log odds of "aligned" by one inspector, minus this inspector's threshold.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from aligners.core.reasons import (
    ACCEPTED,
    LEAST_NOT_RAISED,
    LOWERS_ANOTHER,
    NOT_WRITTEN,
    ROSE_TOO_LITTLE,
    UNCHANGED,
)
from aligners.correction.problems import AlignerCorrection

Margins = Mapping[str, float]


@dataclass(frozen=True)
class Decision:
    """The decision on a correction.

    Attributes:
        reason: one of `reasons.TURN_REASONS`.
        lowered: with the reason `lowers_another`, the criterion that falls lowest.
    """

    reason: str
    lowered: str | None = None


@dataclass(frozen=True)
class Gate:
    """Accepts a correction only if it is usable, better by its own criterion, and harms no other.

    Attributes:
        least_rise: rise of the log odds by the aligner's own inspector that a correction needs.
    """

    least_rise: float

    def reject_text(self, correction: AlignerCorrection, text: str) -> str | None:
        """Return why a correction is rejected whatever its scores are, or None."""
        if correction.problem is not None:
            return correction.problem
        return UNCHANGED if correction.text.strip() == text.strip() else None

    def decide(self, criterion: str, kept: Margins, before: Margins, after: Margins) -> Decision:
        """Decide on a correction by margins, by criterion.

        Args:
            criterion: whose aligner wrote it.
            kept: of the last accepted text.
            before: of the text that the aligner read: this text, or a draft (`squad.RowState`).
            after: of the correction.
        """
        # The log odds rise by as much as the margin.
        if after[criterion] - before[criterion] < self.least_rise:
            return Decision(ROSE_TOO_LITTLE)
        lowered = [name for name in kept if max(kept[name], before[name]) >= 0 > after[name]]
        if lowered:
            return Decision(LOWERS_ANOTHER, min(lowered, key=after.__getitem__))
        # So the least margin rises with each accepted correction. A text is as good as its worst
        # criterion: by this order, the last accepted correction is the best text of the row, before
        # the response, all earlier corrections, and those that are rejected here.
        if min(after.values()) <= min(kept.values()):
            return Decision(LEAST_NOT_RAISED)
        return Decision(ACCEPTED)


class PaperGate:
    """Accepts every correction of a whole response, as in arXiv 2403.04224, section 3."""

    def reject_text(self, correction: AlignerCorrection, text: str) -> str | None:
        """Return a reason only if the aligner wrote no correction of the whole response."""
        return correction.problem if correction.problem in NOT_WRITTEN else None

    def decide(self, criterion: str, kept: Margins, before: Margins, after: Margins) -> Decision:
        """Accept."""
        return Decision(ACCEPTED)
