"""Two texts as HTML; words that only one of them contains are marked."""

from collections.abc import Sequence

from markupsafe import Markup

from aligners.core.formats import printable_lines
from aligners.correction.word_diff import Span, changed_spans


def mark_changes(before: str, after: str) -> dict[str, Markup | None]:
    """Return both texts, escaped, with removed words in <del> and added ones in <ins>.

    Hidden characters become visible (`printable_lines`).

    Returns:
        `before` and `after`; `after` is None if the texts are equal.
    """
    old, new = printable_lines(before), printable_lines(after)
    removed, added = changed_spans(old, new)
    return {
        "before": mark_spans(old, removed, "del"),
        "after": mark_spans(new, added, "ins") if before != after else None,
    }


def mark_spans(text: str, spans: Sequence[Span], tag: str) -> Markup:
    """Return the escaped text as HTML, with each span inside an element `tag`."""
    parts, position = Markup(""), 0
    for start, end in spans:
        parts += Markup(f"%s<{tag}>%s</{tag}>") % (text[position:start], text[start:end])
        position = end
    return parts + text[position:]
