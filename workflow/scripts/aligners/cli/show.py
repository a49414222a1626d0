"""Rows of answers in the terminal: what was asked, what was changed, and who changed it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from aligners.core.errors import UserError
from aligners.core.rows import Row, seeded_order
from aligners.correction.corrections_file import Filters, check_filters, read_corrections
from aligners.correction.trace import DIGITS, Turn, describe_turn
from aligners.correction.word_diff import Span, changed_spans

Scores = dict[str, float | None]

# Columns of the labels; the texts stand to their right.
INDENT = 10
REMOVED, ADDED, REFUSED, NOTE = "bold red", "bold green", "yellow", "dim"
# What a terminal would obey rather than show, as Unicode's pictures; not tab and line feed.
CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n"}
CONTROLS |= {0x7F: 0x2421, **dict.fromkeys(range(0x80, 0xA0), 0xFFFD)}


def show_answers(path: Path, filters: Filters, count: int, seed: int | None) -> None:
    """Print rows of a file of answers.

    Args:
        path: JSON Lines file of the stages responses, aligned or external.
        filters: which of its rows are wanted.
        count: at most how many of these are printed.
        seed: of the random choice among them; None for the first of the file.

    Raises:
        UserError: not a file of answers, a filter that it cannot serve, or a negative count.
    """
    if count < 0:
        raise UserError(f"--rows {count}: a number of rows; give 0 or more")
    rows = read_corrections(path)
    check_filters(filters, rows, path)
    matching = [row for row in rows if filters.match(row)]
    chosen = matching if seed is None else sorted(matching, key=lambda r: seeded_order(r, seed))
    console = Console(highlight=False)
    shown = chosen[:count]
    for row in shown:
        print_row(console, row)
    if any(None in last_scores(row.get("trace", [])).values() for row in shown):
        console.print("-: this inspector was not asked about the last answer.", style=NOTE)
    console.print(f"{len(matching)} of {len(rows)} rows match, {len(shown)} shown.", style="bold")


def print_row(console: Console, row: Row) -> None:
    """Print a row: a rule with its id and category, then its texts, scores and trace."""
    category = f" · {row['category']}" if row["category"] else ""
    console.rule(Text(visible(row["id"] + category), style="bold"), align="left", style=NOTE)
    print_field(console, "question", Text(visible(row["question"])))
    response = visible(row["response"])
    if "aligned_response" in row:
        trace = row.get("trace", [])
        before, after = compare(
            response, visible(row["aligned_response"]), brackets=not has_colour(console)
        )
        print_field(console, "before", before)
        print_scores(console, first_scores(trace))
        print_field(console, "after", after)
        print_scores(console, last_scores(trace))
        for number, line in enumerate(trace_lines(trace) if "trace" in row else []):
            print_field(console, "" if number else "trace", line)
    else:
        print_field(console, "response", text_or_note(response))
    console.print()


def print_field(console: Console, label: str, text: Text) -> None:
    """Print a label and, to its right, a text wrapped to the width that is left."""
    # Room for a word at least in the narrowest of windows.
    width = max(console.width - INDENT, INDENT)
    for number, line in enumerate(text.wrap(console, width)):
        shown = "" if number else label
        printed = Text.assemble((shown.ljust(INDENT), NOTE), line)
        printed.rstrip()
        console.print(printed, soft_wrap=True)


def print_scores(console: Console, scores: Scores) -> None:
    """Print what the inspectors said of the answer above, if they said something."""
    parts = [
        f"{visible(name)} {'-'.rjust(DIGITS + 2) if score is None else f'{score:.{DIGITS}f}'}"
        for name, score in scores.items()
    ]
    if parts:
        print_field(console, "  scores", Text("   ".join(parts), style=NOTE))


def first_scores(trace: Sequence[Turn]) -> Scores:
    """Return the inspectors' scores of the first answer; none where they were not kept."""
    return dict(trace[0]["before"] or {}) if trace else {}


def last_scores(trace: Sequence[Turn]) -> Scores:
    """Return the scores of the last answer, None for each inspector that was not asked about it.

    There are none where no aligner's answer was accepted: they are the first ones.
    """
    if not first_scores(trace) or not any(turn["accepted"] for turn in trace):
        return {}
    last = trace[-1]
    if not last["accepted"]:
        return dict(last["before"])
    return {**dict.fromkeys(last["before"]), last["criterion"]: last["after"]}


def trace_lines(trace: Sequence[Turn]) -> Iterator[Text]:
    """Yield a line for each turn: who acted, and whether and why the answer was accepted.

    What was refused follows, where the trace has it: it stands nowhere else.
    """
    if not trace:
        yield Text("no aligner acted: every inspector was content", style=NOTE)
    width = max((len(turn["criterion"]) for turn in trace), default=0)
    for number, turn in enumerate(trace, start=1):
        line = f"{number}. {turn['criterion'].ljust(width)}  {describe_turn(turn)}"
        yield Text(visible(line), style="" if turn["accepted"] else REFUSED)
        if not turn["accepted"] and "aligned_response" in turn:
            yield Text(f"   {visible(turn['aligned_response'])}", style=NOTE)


def compare(before: str, after: str, brackets: bool) -> tuple[Text, Text]:
    """Return two answers, the words marked that are only in the one or the other.

    Args:
        before, after: the answers.
        brackets: mark by [-removed-] and {+added+} rather than by colour alone.
    """
    if before == after:
        return text_or_note(before), Text("(unchanged)", style=NOTE)
    removed, added = changed_spans(before, after)
    old = mark(before, removed, ("[-", "-]") if brackets else ("", ""), REMOVED)
    new = mark(after, added, ("{+", "+}") if brackets else ("", ""), ADDED)
    if not removed and not added:
        new.append(" (only white space differs)", style=NOTE)
    return old, new


def mark(text: str, spans: Sequence[Span], brackets: tuple[str, str], style: str) -> Text:
    """Return a text with some of its spans marked."""
    if not text.strip():
        return text_or_note(text)
    marked, done = Text(), 0
    for start, end in spans:
        marked.append(text[done:start])
        marked.append(brackets[0] + text[start:end] + brackets[1], style=style)
        done = end
    return marked.append(text[done:])


def text_or_note(text: str) -> Text:
    """Return a text, or a note that it is empty."""
    return Text(text) if text.strip() else Text("(empty)", style=NOTE)


def visible(text: str) -> str:
    """Return a text with the characters visible that would steer the terminal."""
    return text.translate(CONTROLS)


def has_colour(console: Console) -> bool:
    """Tell whether colours reach the reader: not in a file or pipe, nor with NO_COLOR."""
    return console.color_system is not None and not console.no_color
