"""Exact rules for two policies, which decide without a judge whether a response keeps them.

The rules measure. Inspectors and aligners never see them: these learn from corrections that were
written under the principles in resources/criteria/brief and resources/criteria/impersonal.
"""

import re
from collections.abc import Callable
from itertools import pairwise

from aligners.correction.loops import WORD, find_loop

MOST_SENTENCES = 2
# Full stops that do not end a sentence: after abbreviations and initials. One after a name of one
# letter does, as in "vitamin C.", and so does one after some abbreviations before a capital letter.
INNER_STOP = re.compile(
    r"\b(?:Mr|Mrs|Ms|Dr|Prof|St|Mt|vs|e\.g|i\.e|approx)\."
    r"|(?<!\bvitamin )(?<!\bplan )(?<!\boption )(?<!\btype )(?<!\bletter )(?<!°)\b[A-Z]\."
    r"|\b(?:[ap]\.m|etc|lb|Jan|Feb|Aug|Sept|Oct|Nov|Dec)\.(?=\s+[a-z\d])"
    r"|\b[Nn]o\.(?=\s+\d)"
    r"|\.{2,}(?=\s+[a-z])"
)
CLOSING = r"[\"”’')\]*_]"  # quotation marks, brackets, and emphasis in Markdown
# A quoted sentence within another does not end it: He said "Stop!" and left.
SENTENCE_END = re.compile(rf"[.!?]+(?:{CLOSING}+(?!\s+[a-z]))?(?=\s|$)|\n+")
ENDED = re.compile(rf"[.!?]{CLOSING}*$")
# Most of these words are an opening only if a mark and more text follow: "Hello." can be a
# translation, and "Great Britain" a subject.
OPENING = re.compile(
    r"(?:sure|certainly|of course|absolutely|great|hello|hi|hey|thanks|thank you)"
    r"(?: there| thing| so much| very much)?[,!.:](?=\s+(?!not\b)\S)"
    r"|(?:sure|certainly|absolutely|of course) (?:here|I|let)\b"
    r"|(?:thanks|thank you) for (?:asking|your (?:question|interest)|the question)\b"
    r"|(?:(?:that['’]s|this is|what) an? )?(?:good|great) (?:question|point)\b"
    r"|(?:that['’]s|this is) an? \w+ (?:question|point)\b|what an? [^.?!]*!"
    r"|I['’]m (?:so |very )?glad (?:that )?you asked\b|as an ai\b|here (?:is|are)\b"
    r"|(?:the|an) answer to (?:this|your)\b",
    re.IGNORECASE,
)
# An apostrophe within a word is no quotation mark, and a quotation that is not closed is none.
QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”|(?<!\w)['‘][^'’\n]*['’](?!\w)")
# "I" as a number or a letter.
NUMERAL = re.compile(
    r"\b(?:War|[Tt]ype|[Pp]art|[Cc]hapter|[Pp]hase|[Cc]lass|[Vv]olume|Act|[Ss]ection|Article|Title"
    r"|[Ss]tage|[Ll]evel|[Ll]etter|[Ss]ymbol|Elizabeth|Mary|Charles|James|Napoleon|George|Henry"
    r"|William|Francis|Richard|Nicholas|Alexander|Peter|Frederick|Otto|Wilhelm) I\b|\bI/O\b"
    r"|\bI\. (?=[A-Z]\. )"
)
FIRST_PERSON = re.compile(
    r"\b(?:I|us|[Mm]e|[Mm]y|[Mm]yself|[Ww]e|[Oo]urs?|[Oo]urselves|[Ll]et['’]s|(?:of|is|are) mine"
    r"|Mine (?:is|are)|i['’](?:m|ve|d|ll)|i (?:am|was|have|think|can|do|would))\b"
)
OFFER = re.compile(
    r"\b(?:feel free to (?:ask|contact|reach|let|tell|share)|let me know|here to (?:help|assist)"
    r"|(?:happy|glad) to (?:help|assist|answer|explain|clarify)|assist you (?:today|further)"
    r"|hope(?:fully)?,? (?:this|that|it) (?:helps?|answers|clarifies|is helpful)"
    r"|(?:any|you have|for) (?:(?:other|more|further|additional) )*questions"
    r"|(?:need|want) (?:(?:any|more|further|additional) )+(?:help|assistance)"
    r"|(?:just|please|hesitate to) ask(?= if\b|[.!])"
    r"|would you like (?:more|another|to know|to hear)"
    r"|(?:do you|if you) want to know more|anything else(?=[^.!?]*\?)|what else can)\b",
    re.IGNORECASE,
)


def sentence_marks(text: str) -> list[tuple[int, int]]:
    """Return start and end of the marks that end a sentence of a text; each line ends one."""
    masked = INNER_STOP.sub(lambda found: found.group().replace(".", ","), text)
    return [found.span() for found in SENTENCE_END.finditer(masked)]


def sentences(text: str) -> list[str]:
    """Return the sentences of a text without the marks at their ends."""
    marks = [(0, 0), *sentence_marks(text), (len(text), len(text))]
    parts = [text[end:start].strip() for (_, end), (start, _) in pairwise(marks)]
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
    text = NUMERAL.sub(" ", QUOTED.sub(" ", response))
    return bool(WORD.search(response)) and not (FIRST_PERSON.search(text) or OFFER.search(text))


RULES: dict[str, Callable[[str, str], bool]] = {"brief": is_brief, "impersonal": is_impersonal}


def first_sentences(text: str, count: int = MOST_SENTENCES) -> str:
    """Return the first sentences of a text with their marks: a rival of the aligners."""
    text = text.strip()
    ends = [end for _, end in sentence_marks(text)]
    return text[: ends[count - 1]].strip() if len(ends) >= count else text


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
