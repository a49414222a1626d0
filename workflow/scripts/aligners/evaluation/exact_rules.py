"""Exact rules for two policies, which decide without a judge whether a response keeps them.

The rules measure. Inspectors and aligners never see them: these learn from corrections that were
written under the principles in resources/criteria/brief and resources/criteria/impersonal.
"""

import re
from collections.abc import Callable

from aligners.correction.loops import WORD, find_loop

MOST_SENTENCES = 2
# A full stop after these does not end a sentence.
ABBREVIATIONS = ("Mr", "Mrs", "Ms", "Dr", "St", "vs", r"e\.g", r"i\.e", "[A-Z]")
NO_ABBREVIATION = "".join(rf"(?<!\b{text})" for text in ABBREVIATIONS)
SENTENCE_END = re.compile(rf"{NO_ABBREVIATION}[.!?]+[\"”’')\]]*(?=\s|$)|\n+")
ENDED = re.compile(r"[.!?][\"”’')\]]*$")
OPENING = re.compile(
    r"(sure|certainly|of course|absolutely|great|good question|thank|hello|hi|as an ai|what an?"
    r"|(that['’]s|this is) an? \w+ question|here (is|are)|(the|an) answer to (this|your))\b",
    re.IGNORECASE,
)
QUOTED = re.compile(r'"[^"]*"|“[^”]*”')
FIRST_PERSON = re.compile(
    r"\b(I|I['’](m|ve|d|ll)|us|[Ww]e['’](re|ve|d|ll)|[Ll]et['’]s"
    r"|([Mm]e|[Mm]y|(of|is|are) mine|[Mm]yself|[Ww]e|[Oo]ur|[Oo]urs|[Oo]urselves))\b"
)
OFFER = re.compile(
    r"\b(feel free|let me know|happy to|glad to|here to (help|assist)|assist you"
    r"|(hope|hopefully) (this|that|it)|(any|other|more|further|additional) questions"
    r"|(need|want) (any |more |further )*(help|assistance))\b",
    re.IGNORECASE,
)


def sentences(text: str) -> list[str]:
    """Return the sentences of a text; each line ends one."""
    parts = [part.strip() for part in SENTENCE_END.split(text)]
    return [part for part in parts if WORD.search(part)]


def words(text: str) -> list[str]:
    """Return the words of a text in lower case."""
    return WORD.findall(text.casefold())


def is_brief(question: str, response: str) -> bool:
    """Return whether a response has the answer first, at most two sentences, and a whole ending.

    It must not begin with an opening phrase or the question, must end with a mark of the end of a
    sentence, and must not repeat itself.
    """
    text = response.strip()
    parts = [words(part) for part in sentences(text)]
    if not parts or len(parts) > MOST_SENTENCES or not ENDED.search(text):
        return False
    repeats = len(parts) == MOST_SENTENCES and parts[0] == parts[1]
    begins_with_question = parts[0] == words(question)
    return not (repeats or begins_with_question or OPENING.match(text) or find_loop(text))


def is_impersonal(question: str, response: str) -> bool:
    """Return whether a response has no first person and offers no help; quoted words do not count.

    A response without a word keeps no rule.
    """
    text = QUOTED.sub(" ", response)
    return bool(WORD.search(response)) and not (FIRST_PERSON.search(text) or OFFER.search(text))


RULES: dict[str, Callable[[str, str], bool]] = {"brief": is_brief, "impersonal": is_impersonal}


def first_sentences(text: str, count: int = MOST_SENTENCES) -> str:
    """Return the first sentences of a text with their marks: a rival of the aligners."""
    ends = [match.end() for match in SENTENCE_END.finditer(text.strip())]
    return text.strip()[: ends[count - 1]].strip() if len(ends) >= count else text.strip()


# Words of four letters and more, without some of the most frequent.
FREQUENT = re.compile(
    "about|also|been|does|from|have|into|just|like|more|most|much|only|other|over|same|some|such"
    "|than|that|their|them|then|there|these|they|this|those|very|what|when|where|which|while|will"
    "|with|would|your"
)


def unsupported_share(question: str, response: str, correction: str) -> float | None:
    """Return the share of a correction's content words that are in neither question nor response.

    Words with the same first four letters count as one, so that "cooking" supports "cooked".
    None if the correction has no content word.
    """
    support = {word[:4] for word in words(f"{question} {response}")}
    content = {word for word in words(correction) if len(word) > 3 and not FREQUENT.fullmatch(word)}
    if not content:
        return None
    return sum(word[:4] not in support for word in content) / len(content)
