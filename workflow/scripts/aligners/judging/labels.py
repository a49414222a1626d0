"""How a judge's reply chooses a label: in its words, or by the probabilities of its first token.

A label in words is a whole word: the label "a" is not in "maybe", and "A" is not in "Answer".
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

LETTER = r"[^\W_]"
# "a" before another word is the article, and no label, except before these words.
AFTER_LABEL_A = (
    r"(?:is|was|has|had|does|did|gives|answers|wins|and|or|as|because|since|over|by|but|for)\b"
)
ANSWER = r"(?:output|answer|response|assistant|option|model|one|choice)"
REJECTED_BEFORE = re.compile(
    r"\b(?:not|nor|neither|than|worse|worst|weaker|inferior)\b"
    rf"(?:\W+(?:{ANSWER}|is|be|to|choose|prefer))*\W*\Z",
    re.IGNORECASE,
)
REJECTED_AFTER = re.compile(
    r"\W+(?:is|was|does|did|has)(?:n['’]t\b|\W+(?:not|no|less|(?:the\W+)?(?:worse|weaker))\b)",
    re.IGNORECASE,
)
# From its first word to the end of the clause.
STATEMENT = re.compile(
    r"(?<!worse )(?<!worst )(?<!weaker )(?<!other )"
    r"\b(?:(?:verdict|winner|decision|choice|preference|judge?ment|conclusion|final answer)"
    r"[*_]*(?:\s+is\b|\s*[:=])|(?:answer|better|best|preferred|result)[*_]*\s*[:=]"
    rf"|(?:better|best|preferred|stronger|superior|winning)\s+{ANSWER}\s+is\b(?!\s+not\b)"
    r"|(?:i|we)(?:['’]d|\s+would)?\s+(?:\w+ly\s+)?"
    r"(?:choose|prefer|pick|select|favou?r|say|go\s+with)\b"
    r"(?!\s+(?:that|when|to|how|not)\b|[^\n.;]*\b(?:if|but)\b))\s*"
    r"(?P<clause>(?:(?!\b(?:because|since|over|than|rather|instead|to)\b)[^\n.,;])*)",
    re.IGNORECASE,
)
# What follows a label in a sentence that only says that it is better, if no doubt follows. Of two
# texts, each can be better in something: then the statements name both.
IS_BETTER = (
    r"[*_\"')\]]*\s+(?:is|was|seems)\s+(?:\w+\s+)?(?:better|best|preferable|superior)[*_]*"
    r"(?:\s+(?:than|to|in|at|for|on)\b[^\n.,;:]*)?(?:(?:[.!;]+[*_]*|[*_]*$)(?=\s|\Z)"
    r"(?!\W*(?:but|however|yet|although|though)\b)|,?\s+(?:because|since|as)\b)"
)
BLANKS = " \t\n\r▁ĠĊ"
BOLD = re.compile(r"\*\*([^*\n]+)\*\*|__([^_\n]+)__")


def label_pattern(label: str, labels: Iterable[str]) -> str:
    """Return the regular expression of a label that is not part of a word or of a longer label."""
    before = rf"(?<!{LETTER})(?<!{LETTER}[.'’-])" if label[0].isalnum() else ""
    after = rf"(?!{LETTER})(?![.'’-]{LETTER})" if label[-1].isalnum() else ""
    if label.lower() == "a":
        after += rf"(?![ \t]+(?!{AFTER_LABEL_A}){LETTER})"
    for longer in labels:
        places = re.finditer(re.escape(label), longer) if longer != label else ()
        for start in (place.start() for place in places):
            head, rest = re.escape(longer[:start]), re.escape(longer[start:])
            before += f"(?!(?<={head}){rest})"
    return f"{before}{re.escape(label)}{after}"


def chosen_label(reply: str, labels: Sequence[str]) -> str | None:
    """Return the label that a reply in words chooses, or None if that is not clear.

    A reply that names one label chooses it. If it names several, its statements decide (`Verdict:
    M`, "I prefer M", "M is better than m.", or a line with a label alone) if they name one.
    Otherwise its last line or its words in bold must name one, and not two different ones. A last
    line such as "M: 7/10" is no verdict if another line begins with another label.
    """
    patterns = {label: label_pattern(label, labels) for label in labels}
    for part in (reply, "\n".join(statements(reply, patterns))):
        if label := only_label(part, patterns):
            return label
    lines = [line for line in reply.split("\n") if line.strip()]
    bold = "\n".join(found[1] or found[2] for found in BOLD.finditer(reply))
    ends = [] if is_list(lines, patterns) else lines[-1:]
    last = {only_label(part, patterns) for part in (*ends, bold)} - {None}
    return last.pop() if len(last) == 1 else None


def statements(reply: str, patterns: Mapping[str, str]) -> Iterator[str]:
    """Yield the clauses of a reply that state a verdict, and its lines with a label alone."""
    yield from (found["clause"] for found in STATEMENT.finditer(reply))
    first = begins_with_label(patterns)
    better = re.compile(rf"(?:^|(?<=[.!?]\s)){first}(?i:{IS_BETTER})", re.MULTILINE)
    yield from (found["label"] for found in better.finditer(reply))
    yield from filter(re.compile(rf"{first}[\W_]*").fullmatch, reply.split("\n"))


def begins_with_label(patterns: Mapping[str, str]) -> str:
    """Return the regular expression of a label at the beginning, as in "- **Output (a)**"."""
    return rf"(?:[^\w\n]|_)*(?:(?i:{ANSWER})[\W_]+)?(?P<label>{'|'.join(patterns.values())})"


def is_list(lines: Sequence[str], patterns: Mapping[str, str]) -> bool:
    """Return whether the last line speaks of one label, as another line does of another label."""
    first = re.compile(rf"(?:[\W_]*\d+[.)]\s)?{begins_with_label(patterns)}")
    begun = [found["label"] if (found := first.match(line)) else None for line in lines]
    return bool(begun and begun[-1]) and len({label for label in begun if label}) > 1


def only_label(text: str, patterns: Mapping[str, str]) -> str | None:
    """Return the label that a text names, or None if it names none, several, or only rejects it."""
    named = {
        label: list(re.finditer(pattern, text))
        for label, pattern in patterns.items()
        if re.search(pattern, text)
    }
    if len(named) != 1:
        return None
    [(label, places)] = named.items()
    return None if all(is_rejected(text, place) for place in places) else label


def is_rejected(text: str, place: re.Match[str]) -> bool:
    """Return whether the words around a label say that it is not chosen, as in "M is worse"."""
    return bool(
        REJECTED_BEFORE.search(text[: place.start()]) or REJECTED_AFTER.match(text, place.end())
    )


def label_probabilities(logprobs: Mapping[str, float], labels: Iterable[str]) -> dict[str, float]:
    """Return the probability of each label as the first token.

    Spellings of a label that differ only in the white space around it are added up: " m" and "m".
    Some tokenizers write a blank as "▁" or "Ġ".
    """
    probabilities = defaultdict[str, float](float)
    for token, logprob in logprobs.items():
        probabilities[token.strip(BLANKS)] += math.exp(logprob)
    return {label: probabilities[label.strip()] for label in labels}
