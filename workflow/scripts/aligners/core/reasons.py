"""Names of why a correction was accepted or rejected, and why a squad left a row alone.

These are all values of `reason` in the files of results/aligned/. docs/data.md explains them, and
`aligners.correction.trace` has the words for readers.
"""

ACCEPTED = "accepted"
# A correction with a problem is not used, whatever its scores are.
EMPTY, NOT_ENDED, LOOPS, TOO_LONG, FAILED = PROBLEMS = (
    "empty",
    "not_ended",
    "loops",
    "too_long",
    "failed",
)
# With these problems, there is no correction: its text is the response.
NOT_WRITTEN = (TOO_LONG, FAILED)
UNCHANGED, ROSE_TOO_LITTLE, LOWERS_ANOTHER, LEAST_NOT_RAISED = REJECTIONS = (
    "unchanged",
    "rose_too_little",
    "lowers_another",
    "least_margin_not_raised",
)
QUESTION_TOO_LONG, EMPTY_RESPONSE, UNFAMILIAR, ABOVE_THRESHOLD = ROW_REASONS = (
    "question_too_long",
    "empty_response",
    "unfamiliar_question",
    "above_threshold",
)
# A question can leave room for the response, and none for a longer correction.
TURN_REASONS = (ACCEPTED, *PROBLEMS, *REJECTIONS, QUESTION_TOO_LONG)
