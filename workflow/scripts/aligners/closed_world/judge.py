"""The closed world's judge of two answers, with the biases of LLM judges.

Its only input is the prompt. The log-odds of a verdict depend on the number of criteria that each
answer meets, plus a bias to the first answer, a bias to the longer one, and noise. A few replies
are no verdict. The biases are known, so that an evaluation's estimates of them can be tested.
"""

import math
import re
from dataclasses import dataclass

from aligners.closed_world.truth import Truth
from aligners.closed_world.world import draw

# Terms of the log-odds of the first answer.
OPINION_PER_CRITERION = 2.5
LEANING_TO_FIRST = 0.5
LEANING_PER_CHARACTER = 0.01
STANDARD_DEVIATION = 0.75
# Share of the replies that are no verdict.
NO_VERDICT_SHARE = 0.01
NO_VERDICT = "Both"
UNLIKELY = -20.0

TAGGED = re.compile(
    r"<question>\n(.*?)\n</question>\s*"
    r"<answer_(\w+)>\n(.*?)\n</answer_\2>\s*"
    r"<answer_(\w+)>\n(.*?)\n</answer_\4>",
    re.DOTALL,
)


@dataclass(frozen=True)
class Opinion:
    """The judge's reply, and the log-probabilities of its possible replies."""

    reply: str
    logprobs: dict[str, float]


def judge(truth: Truth, prompt: str) -> Opinion:
    """Return the judge's opinion of the two tagged answers in a prompt.

    Without such answers, the reply is no verdict.
    """
    found = TAGGED.search(prompt)
    if not found:
        return Opinion(NO_VERDICT, {NO_VERDICT: 0.0})
    question, first_label, first, second_label, second = found.groups()
    rng = draw("judge", question, first, second)
    if rng.random() < NO_VERDICT_SHARE:
        return Opinion(NO_VERDICT, {NO_VERDICT: 0.0})
    log_odds = (
        OPINION_PER_CRITERION * (kept(truth, question, first) - kept(truth, question, second))
        + LEANING_TO_FIRST
        + LEANING_PER_CHARACTER * (len(first) - len(second))
        + rng.gauss(0, STANDARD_DEVIATION)
    )
    logprobs = {
        first_label: -math.log1p(math.exp(-log_odds)),
        second_label: -math.log1p(math.exp(log_odds)),
        NO_VERDICT: UNLIKELY,
    }
    return Opinion(max(logprobs, key=logprobs.__getitem__), logprobs)


def kept(truth: Truth, question: str, answer: str) -> int:
    """Return how many criteria an answer meets; 0 if the question is not of the world."""
    return sum(truth.assess(question, answer).values()) if truth.identify(question) else 0
