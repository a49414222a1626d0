"""Responses and corrections in the terminal: marked changes, scores and the trace."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from aligners.core.errors import UserError
from aligners.core.formats import printable, printable_lines
from aligners.core.rows import Row, seeded_order
from aligners.correction.corrections_file import Filters, check_filters, read_corrections
from aligners.correction.trace import DIGITS, WORDS, Turn, describe_turn, hides_text
from aligners.correction.word_diff import Span, changed_spans

Scores = dict[str, float | None]

INDENT = 10  # width of the labels to the left of the texts
REMOVED, ADDED, REFUSED, NOTE = "bold red", "bold green", "yellow", "dim"


def show_answers(path: Path, filters: Filters, count: int, seed: int | None) -> None:
    """Print rows of a file of responses or corrections.

    Args:
        path: JSON Lines file in results/responses, results/aligned or results/external.
        filters: select rows.
        count: largest number of rows to print.
        seed: seed of a random choice among the selected rows; None prints the first ones.

    Raises:
        UserError: the file has no responses, a filter does not apply, or the count is negative.
    """
    if count < 0:
        raise UserError(f"--rows {count}: the number of rows is negative; give 0 or more")
    rows = read_corrections(path)
    check_filters(filters, rows, path)
    matching = [row for row in rows if filters.match(row)]
    chosen = matching if seed is None else sorted(matching, key=lambda r: seeded_order(r, seed))
    console = Console(highlight=False)
    shown = chosen[:count]
    for row in shown:
        print_row(console, row)
    if any(None in row.get("scores", {}).values() for row in shown):
        console.print("-: the inspector cannot read the response.", style=NOTE)
    console.print(f"{len(matching)} of {len(rows)} rows match, {len(shown)} shown.", style="bold")


def print_row(console: Console, row: Row) -> None:
    """Print a row: a rule with its id and category, then its texts, scores and trace."""
    category = f" · {row['category']}" if row["category"] else ""
    console.rule(Text(printable(row["id"] + category), style="bold"), align="left", style=NOTE)
    print_field(console, "question", Text(printable_lines(row["question"])))
    response = printable_lines(row["response"])
    if "aligned_response" in row:
        trace = row.get("trace", [])
        before, after = mark_changes(
            response, printable_lines(row["aligned_response"]), brackets=not has_colour(console)
        )
        print_field(console, "before", before)
        print_scores(console, row.get("scores", {}))
        print_field(console, "after", after)
        print_scores(console, last_scores(trace))
        for number, line in enumerate(trace_lines(trace, row.get("reason"))):
            print_field(console, "" if number else "trace", line)
    else:
        print_field(console, "response", text_or_note(response))
    console.print()


def print_field(console: Console, label: str, text: Text, indent: int = INDENT) -> None:
    """Print a label and, to its right, a text wrapped to the remaining width."""
    # Leave room for a word even in a very narrow window.
    width = max(console.width - indent, indent)
    for number, line in enumerate(text.wrap(console, width)):
        shown = "" if number else label
        printed = Text.assemble((shown.ljust(indent), NOTE), line)
        printed.rstrip()
        console.print(printed, soft_wrap=True)


def print_scores(console: Console, scores: Scores) -> None:
    """Print the inspectors' scores of the text above, if there are any."""
    parts = [
        f"{printable(name)} {'-'.rjust(DIGITS + 2) if score is None else f'{score:.{DIGITS}f}'}"
        for name, score in scores.items()
    ]
    if parts:
        print_field(console, "  scores", Text("   ".join(parts), style=NOTE))


def last_scores(trace: Sequence[Turn]) -> Scores:
    """Return the scores of the last accepted correction; empty if there is none."""
    accepted = [turn["after"] or {} for turn in trace if turn["accepted"]]
    return accepted[-1] if accepted else {}


def trace_lines(trace: Sequence[Turn], reason: str | None) -> Iterator[Text]:
    """Yield the reason why no aligner acted, or a line for each turn: criterion, scores, decision.

    After a rejected correction, the next line shows it, if there is a text to show.
    """
    if reason is not None:
        yield Text(f"no aligner acted: {WORDS[reason]}", style=NOTE)
    width = max((len(turn["criterion"]) for turn in trace), default=0)
    for number, turn in enumerate(trace, start=1):
        line = f"{number}. {turn['criterion'].ljust(width)}  {describe_turn(turn)}"
        yield Text(printable(line), style="" if turn["accepted"] else REFUSED)
        if not hides_text(turn):
            yield Text(f"   {printable_lines(turn['aligned_response'])}", style=NOTE)


def mark_changes(before: str, after: str, brackets: bool) -> tuple[Text, Text]:
    """Return both texts, with the words marked that only one of them contains.

    Args:
        before, after: the texts.
        brackets: mark with [-removed-] and {+added+}, not with colour only.
    """
    if before == after:
        return text_or_note(before), Text("(unchanged)", style=NOTE)
    removed, added = changed_spans(before, after)
    old = mark_spans(before, removed, ("[-", "-]") if brackets else ("", ""), REMOVED)
    new = mark_spans(after, added, ("{+", "+}") if brackets else ("", ""), ADDED)
    if not removed and not added:
        new.append(" (only white space differs)", style=NOTE)
    return old, new


def mark_spans(text: str, spans: Sequence[Span], brackets: tuple[str, str], style: str) -> Text:
    """Return a text with the spans marked."""
    if not text.strip():
        return text_or_note(text)
    marked, position = Text(), 0
    for start, end in spans:
        marked.append(text[position:start])
        marked.append(brackets[0] + text[start:end] + brackets[1], style=style)
        position = end
    return marked.append(text[position:])


def text_or_note(text: str) -> Text:
    """Return a text, or a note that it is empty."""
    return Text(text) if text.strip() else Text("(empty)", style=NOTE)


def has_colour(console: Console) -> bool:
    """Return whether the console prints colours: not to a file or pipe, nor with NO_COLOR."""
    return console.color_system is not None and not console.no_color
