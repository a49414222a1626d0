"""The words that differ between two texts."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

# The first index, and the index after the last.
Span = tuple[int, int]
# A span of words in the one text, and the span of words in the other that replaces it.
Change = tuple[Span, Span]
WORD = re.compile(r"\S+")


def changed_spans(before: str, after: str) -> tuple[list[Span], list[Span]]:
    """Return where two texts differ, word by word.

    The longest runs of words that both texts share are not changes (difflib's SequenceMatcher). If
    a shared run between two changes has fewer characters than each of them, it counts as changed
    too: a single word that two different sentences share does not help a reader (after the
    semantic cleanup in Neil Fraser's "Diff Strategies", https://neil.fraser.name/writing/diff/).

    Args:
        before, after: texts; the white space between their words is ignored.

    Returns:
        Spans of characters, in order: those removed from `before`, and those added in `after`.
    """
    old, new = ([word.span() for word in WORD.finditer(text)] for text in (before, after))
    words = [before[start:end] for start, end in old]
    matcher = SequenceMatcher(None, words, [after[start:end] for start, end in new], autojunk=False)
    removed, added = [], []
    changes = [
        ((old_first, old_end), (new_first, new_end))
        for tag, old_first, old_end, new_first, new_end in matcher.get_opcodes()
        if tag != "equal"
    ]
    for in_old, in_new in join_changes(changes, old, new):
        removed += [characters(old, in_old)] if in_old[0] < in_old[1] else []
        added += [characters(new, in_new)] if in_new[0] < in_new[1] else []
    return removed, added


def characters(spans: Sequence[Span], words: Span) -> Span:
    """Return the span of characters of some words of a text, at least one."""
    first, end = words
    return spans[first][0], spans[end - 1][1]


def length(spans: Sequence[Span], words: Span) -> int:
    """Return the number of characters in some words of a text."""
    return sum(end - start for start, end in spans[slice(*words)])


def join_changes(
    changes: Sequence[Change], old: Sequence[Span], new: Sequence[Span]
) -> list[Change]:
    """Join two neighbouring changes if the text between them is shorter than each of them."""
    joined: list[Change] = []
    for change in changes:
        while joined:
            shared = length(old, (joined[-1][0][1], change[0][0]))
            sizes = [max(length(old, a), length(new, b)) for a, b in (joined[-1], change)]
            if shared >= min(sizes):
                break
            (old_first, _), (new_first, _) = joined.pop()
            change = (old_first, change[0][1]), (new_first, change[1][1])
        joined.append(change)
    return joined
