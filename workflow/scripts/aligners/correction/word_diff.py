"""Which words of a text another text replaces."""

import re
from collections.abc import Sequence
from difflib import SequenceMatcher

Span = tuple[int, int]
# Words of the one text, and the words of the other that replace them.
Change = tuple[Span, Span]
WORD = re.compile(r"\S+")


def changed_spans(before: str, after: str) -> tuple[list[Span], list[Span]]:
    """Return where two texts differ, word by word.

    The longest runs of words that both have stay unmarked (difflib's SequenceMatcher). A run
    between two changes that has fewer characters than either is marked with them: a word that two
    different sentences happen to share tells a reader nothing (after the semantic cleanup in Neil
    Fraser's "Diff Strategies", https://neil.fraser.name/writing/diff/).

    Args:
        before, after: texts; only words count, not the white space between them.

    Returns:
        Spans of characters (start, end) in each of the two, in order: what was removed, and what
        was added.
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
    """Return where some words of a text, at least one, start and end in it."""
    first, end = words
    return spans[first][0], spans[end - 1][1]


def length(spans: Sequence[Span], words: Span) -> int:
    """Return how many characters some words of a text have."""
    return sum(end - start for start, end in spans[slice(*words)])


def join_changes(
    changes: Sequence[Change], old: Sequence[Span], new: Sequence[Span]
) -> list[Change]:
    """Join neighbours that have less in common than either of them changes."""
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
