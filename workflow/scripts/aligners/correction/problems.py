"""A correction of an aligner, and the problem for which it is not used."""

from dataclasses import dataclass

from aligners.core.empty_texts import is_empty
from aligners.core.reasons import EMPTY, LOOPS, NOT_ENDED
from aligners.correction.loops import is_new_loop


@dataclass(frozen=True)
class AlignerCorrection:
    """What an aligner makes of a response.

    Attributes:
        text: the correction; the response itself if the aligner could not read it whole.
        problem: why the correction should not be used, one of `reasons.PROBLEMS`; None if it can.
    """

    text: str
    problem: str | None = None

    def or_keep(self, text: str) -> str:
        """Return the correction; the text that was corrected if the correction has a problem."""
        return self.text if self.problem is None else text


def find_problem(text: str, ended: bool, response: str) -> str | None:
    """Return the problem of a correction, or None.

    Args:
        text: the correction.
        ended: whether its end token ended it, and not the limit of tokens.
        response: the text that was corrected.
    """
    if is_empty(text):
        return EMPTY
    if is_new_loop(text, response):
        return LOOPS
    return None if ended else NOT_ENDED
