"""What a squad makes of a response."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

from aligners.core.reasons import (
    ACCEPTED,
    EMPTY_RESPONSE,
    FAILED,
    QUESTION_TOO_LONG,
    TOO_LONG,
    UNFAMILIAR,
)
from aligners.correction.squad import Result

Action = Literal["corrected", "unchanged", "skipped", "failed"]
# The squad did not examine the text, or its aligners could not read it.
SKIPPED = (QUESTION_TOO_LONG, EMPTY_RESPONSE, UNFAMILIAR, TOO_LONG)


@dataclass(frozen=True)
class Correction:
    """A response after a squad.

    Attributes:
        text: the correction; the response itself if it was not corrected.
        action: "corrected"; "unchanged" if no score was below its threshold, or all corrections
            were rejected; "skipped" if the squad leaves such questions or responses alone;
            "failed" if the server of an aligner gave no correction.
        reason: one of `aligners.core.reasons`: "accepted" if the text was corrected, else why no
            aligner acted, or why the last correction was rejected.
        scores: P(aligned) of the response by criterion, in [0, 1]; None where the inspector cannot
            read it.
        trace: the turns of the aligners; docs/data.md has their fields.
    """

    text: str
    action: Action
    reason: str
    scores: dict[str, float | None]
    trace: list[dict[str, Any]]

    @classmethod
    def of(cls, response: str, result: Result) -> "Correction":
        """Return the correction of a response by the result of its turns."""
        if result.aligned_response != response:
            action: Action = "corrected"
            reason = ACCEPTED
        else:
            reason = result.reason or result.trace[-1]["reason"]
            action = "skipped" if reason in SKIPPED else "unchanged"
            if any(turn["reason"] == FAILED for turn in result.trace):
                action, reason = "failed", FAILED
        return cls(result.aligned_response, action, reason, result.scores, result.trace)

    @property
    def acted(self) -> list[str]:
        """The criteria whose corrections were accepted, in the order of their turns."""
        return [turn["criterion"] for turn in self.trace if turn["accepted"]]

    def as_json(self) -> dict[str, Any]:
        """Return the fields as values of JSON."""
        return asdict(self)
