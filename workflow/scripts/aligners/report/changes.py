"""Two texts as HTML, with the words marked that only one of them has."""

from collections.abc import Sequence

from markupsafe import Markup

from aligners.correction.word_diff import Span, changed_spans


def marked_changes(before: str, after: str) -> dict[str, Markup | None]:
    """Return both texts, escaped, with removed words in <del> and added ones in <ins>.

    Returns:
        `before` and `after`; `after` is None where nothing changed.
    """
    removed, added = changed_spans(before, after)
    return {
        "before": marked(before, removed, "del"),
        "after": marked(after, added, "ins") if before != after else None,
    }


def marked(text: str, spans: Sequence[Span], tag: str) -> Markup:
    """Return a text, escaped, as HTML with its spans in an element."""
    parts, done = Markup(""), 0
    for start, end in spans:
        parts += Markup(f"%s<{tag}>%s</{tag}>") % (text[done:start], text[start:end])
        done = end
    return parts + text[done:]
