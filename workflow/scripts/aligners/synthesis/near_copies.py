"""Near copies: corrections so similar to their response that an inspector cannot learn from both.

The cosine of two sentence embeddings hardly changes when one fact does: "every hour" and "every
eight hours" have 0.98. So a pair whose numbers, names or negations differ is never a near copy.
"""

import re
from collections import Counter

from aligners.core.rows import Row
from aligners.synthesis.training_sets import is_identity

NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
NUMBER_WORD = re.compile(
    r"\b(zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|\w+teen|twenty|thirty"
    r"|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|billion|half|quarter|dozen"
    r"|first|second|third|once|twice)\b"
)
NEGATION = re.compile(
    r"\b(no|not|never|none|nothing|nobody|nowhere|neither|nor|cannot|without|\w+n't)\b"
)
WORD = re.compile(r"\w+(?:['’-]\w+)*")


def is_near_copy(pair: Row, near_copy_similarity: float) -> bool:
    """Return whether a pair's two texts are almost equal, but not equal.

    `near_copy_similarity` is the lowest cosine of near copies; 1 means that none is one.
    """
    return (
        near_copy_similarity < 1
        and pair["similarity"] >= near_copy_similarity
        and not is_identity(pair)
        and facts(pair["response"]) == facts(pair["aligned_response"])
    )


def facts(text: str) -> Counter[str]:
    """Return the numbers, names and negations of a text, with how often each occurs."""
    plain = text.replace("’", "'")
    # The first words of sentences count as names too: better a pair too many than a fact too few.
    found = [word for word in WORD.findall(plain) if word[0].isupper()]
    for pattern in (NUMBER, NUMBER_WORD, NEGATION):
        found += [match[0] for match in pattern.finditer(plain.lower())]
    return Counter(found)
