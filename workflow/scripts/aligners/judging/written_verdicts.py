"""Finds the label in the reply of a judge that writes, such as "**Verdict:** Output (a)."."""

import re
from collections.abc import Collection, Iterator

# A word that ends with the verdict: "Verdict: m", "My final answer is **M**", "the winner is m".
STATEMENT = (
    r"\b(?:verdict|answer|decision|winner|preference|choice|choose|conclusion|judge?ment|prefer"
    r"|label|result|better (?:one|response|answer|output)|best)\b"
    r"(?:[^\w\n]|\b(?:is|be|would|the|one|response|answer|output|option)\b){0,12}?"
)
BOLD = re.compile(r"\*\*([^*\n]{1,80})\*\*")


def label_pattern(label: str) -> str:
    """Return a regular expression of a label that is not part of a word, such as "m" in "I'm"."""
    before = r"(?<![\w'’-])" if re.match(r"\w", label) else ""
    after = r"(?![\w'’-])" if re.search(r"\w\Z", label) else ""
    return f"{before}{re.escape(label)}{after}"


def find_verdict(reply: str, labels: Collection[str]) -> str | None:
    """Return the one label that a reply decides for, or None.

    This is the only label that it names. If it names several, because it weighs both texts, it is
    the only one in its last statement ("Verdict: m"), else in bold, else in its last line.
    """
    for part in parts_with_a_verdict(reply, labels):
        named = [label for label in labels if re.search(label_pattern(label), part)]
        if len(named) == 1:
            return named[0]
    return None


def parts_with_a_verdict(reply: str, labels: Collection[str]) -> Iterator[str]:
    """Yield the parts of a reply in which its verdict is looked for, in this order."""
    yield reply
    one_label = "|".join(map(label_pattern, labels))
    yield from re.findall(rf"(?i:{STATEMENT})({one_label})", reply)[-1:]
    yield from BOLD.findall(reply)[-1:]
    yield (reply.strip().split("\n") or [""])[-1]
