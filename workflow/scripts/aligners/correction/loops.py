"""Texts that repeat themselves, as those of small language models do when they do not end."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

# A run of words that repeats itself is a loop if it occurs at least three times in a row, and if
# the words after its first occurrence are at least this many. So "very very very" and a refrain of
# a few words are no loops. Figures on texts that people wrote are in docs/decisions.md.
LEAST_TIMES = 3
LEAST_REPEATED = 12

# Thai, Lao, Burmese, Khmer, Japanese and Chinese put no spaces between words: one character each.
UNSPACED = (
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]"
)
WORD = re.compile(rf"{UNSPACED}|(?:(?!{UNSPACED})[^\W_])+")
# The marks of other scripts, such as the Chinese full stop, need no space after them.
SENTENCE_ENDS = re.compile(r"[.!?\n]+(?=\s|$)|[\n。！？।؟۔]")
# The numbers of a list count on, also where its items are equal: "1. ", "(2) ", "Step 3: ".
NUMBERING = re.compile(r"(?:^|(?<=[.!?;:]))[^\S\n]*(?:[^\W\d_]+\s)?\(?\d+[.):]\s", re.MULTILINE)


@dataclass(frozen=True)
class Loop:
    """Words that a text repeats.

    Attributes:
        words: the different words.
        repeated: number of words after their first occurrence.
    """

    words: frozenset[str]
    repeated: int


def is_new_loop(text: str, source: str) -> bool:
    """Return whether a text loops, or repeats a sentence at once, more than its source does."""
    if repeated_sentences(text) - repeated_sentences(source):
        return True
    loop = find_loop(text)
    if loop is None:
        return False
    before = find_loop(source)
    return before is None or before.words != loop.words or before.repeated < loop.repeated


def repeated_sentences(text: str) -> Counter[tuple[str, ...]]:
    """Return the sentences, as words, that a text has twice in a row, and how often it has.

    Sentences of one or two words do not count: people write "No, no. No, no."
    """
    sentences = [tuple(WORD.findall(part)) for part in SENTENCE_ENDS.split(text.casefold())]
    sentences = [words for words in sentences if words]
    return Counter(a for a, b in pairwise(sentences) if a == b and len(a) > 2)


def find_loop(text: str) -> Loop | None:
    """Return the longest loop of a text, or None.

    White space, punctuation, letter case and the numbers of lists make no difference. A loop has a
    letter, because numbers can be a table.
    """
    words = WORD.findall(NUMBERING.sub("\n", text).casefold())
    longest = None
    for length in range(1, len(words) // LEAST_TIMES + 1):
        repeated, end = longest_run(words, length)
        unit = frozenset(words[end - length : end])
        if (
            repeated >= max((LEAST_TIMES - 1) * length, LEAST_REPEATED)
            and (longest is None or repeated > longest.repeated)
            and any(character.isalpha() for word in unit for character in word)
        ):
            longest = Loop(unit, repeated)
    return longest


def longest_run(words: Sequence[str], length: int) -> tuple[int, int]:
    """Return how many words in a row equal the word `length` words before, and where they end."""
    longest, end, run = 0, 0, 0
    for position in range(length, len(words)):
        run = run + 1 if words[position] == words[position - length] else 0
        if run > longest:
            longest, end = run, position + 1
    return longest, end
