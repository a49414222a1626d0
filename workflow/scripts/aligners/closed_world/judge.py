"""The closed world's judge of two answers, with the biases of LLM judges.

Its only input is the prompt. The log-odds of a verdict are a sum: a term for the number of criteria
that each answer meets, a bias for the first answer, a bias for the longer answer, and noise. A few
replies have no verdict. Because the biases are known, estimates of them can be tested.
"""

import math
import re
from dataclasses import dataclass

from aligners.closed_world.truth import Truth
from aligners.closed_world.world import make_rng

# Terms of the log-odds that the judge prefers the first answer.
LOG_ODDS_PER_CRITERION = 2.5
FIRST_ANSWER_BIAS = 0.5
LENGTH_BIAS_PER_CHARACTER = 0.01
NOISE_STANDARD_DEVIATION = 0.75
# Share of the replies without a verdict, and the log-probability of no verdict in the others.
NO_VERDICT_SHARE = 0.01
NO_VERDICT = "Both"
NO_VERDICT_LOGPROB = -20.0

TAGGED = re.compile(
    r"<question>\n(.*?)\n</question>\s*"
    r"<answer_(\w+)>\n(.*?)\n</answer_\2>\s*"
    r"<answer_(\w+)>\n(.*?)\n</answer_\4>",
    re.DOTALL,
)


@dataclass(frozen=True)
class Opinion:
    """The judge's reply, and the log-probability of each possible reply."""

    reply: str
    logprobs: dict[str, float]


def judge(truth: Truth, prompt: str) -> Opinion:
    """Return the judge's opinion of the two tagged answers in a prompt.

    If the prompt has no such answers, the reply has no verdict.
    """
    found = TAGGED.search(prompt)
    if not found:
        return Opinion(NO_VERDICT, {NO_VERDICT: 0.0})
    question, first_label, first, second_label, second = found.groups()
    rng = make_rng("judge", question, first, second)
    if rng.random() < NO_VERDICT_SHARE:
        return Opinion(NO_VERDICT, {NO_VERDICT: 0.0})
    difference = criteria_met(truth, question, first) - criteria_met(truth, question, second)
    log_odds = (
        LOG_ODDS_PER_CRITERION * difference
        + FIRST_ANSWER_BIAS
        + LENGTH_BIAS_PER_CHARACTER * (len(first) - len(second))
        + rng.gauss(0, NOISE_STANDARD_DEVIATION)
    )
    logprobs = {
        first_label: -math.log1p(math.exp(-log_odds)),
        second_label: -math.log1p(math.exp(log_odds)),
        NO_VERDICT: NO_VERDICT_LOGPROB,
    }
    return Opinion(max(logprobs, key=logprobs.__getitem__), logprobs)


def criteria_met(truth: Truth, question: str, answer: str) -> int:
    """Return how many criteria an answer meets, or 0 if the question is not of the world."""
    return sum(truth.assess(question, answer).values()) if truth.identify(question) else 0
