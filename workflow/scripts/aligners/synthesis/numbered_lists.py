"""Reads the numbered lists that LLMs write: topics, and questions.

A prompt ends with the number of the first line, so a base LLM writes no number before it; a chat
LLM does. LLMs also use bullets, a table or no marks, count from 1, repeat examples of the prompt,
introduce the list, and go on after its end.
"""

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from aligners.core.completions import Completion
from aligners.llms.cleaning import clean, without_bold, without_markdown
from aligners.llms.remarks import is_introduction, is_offer, is_refusal
from aligners.synthesis.near_duplicates import wording, wordings

Mark = Literal["number", "bullet", "none"]

# "6.", "6)", "(6)", "[6]", "6:", "6 -", "Question 6:", "#6", each also in bold.
NUMBER = re.compile(
    r"(?P<bold>\*\*|__)?[(\[#]?\s*(?:(?:question|topic|line|q|no\.?|frage|thema)\s*#?)?(?P<number>\d{1,3})"
    r"(?:\s*\\?[.)\]:、]+(?!\d)|\uFE0F?\u20E3|\s+[-–—](?=\s)|$"
    r"|(?<=#\d)\s|(?<=#\d\d)\s|(?<=\*\*\d)(?=\*\*)|(?<=\*\*\d\d)(?=\*\*))"
    r"(?(bold)\s*(?P<end>\*\*|__)?[:.)]?)\s*(?P<text>.*)",
    re.IGNORECASE,
)
WITHIN_A_LINE = re.compile(r"[,;]?\s(?=(\d{1,3})[.)]\s)")
BULLET = re.compile(r"(?:[-*+•·‣◦▪–—]\s+|[•‣◦▪]\s*|\(?[a-z]\)\s+)(?P<text>.*)", re.IGNORECASE)
PICTURE = r"[\u2190-\u21FF\u2600-\u27BF\U0001F300-\U0001FAFF\uFE0F\s]+"
PICTURES = re.compile(rf"^{PICTURE}")
LAST_PICTURES = re.compile(rf"{PICTURE}$")
HEADING = re.compile(r"(?:#{1,6}\s+|>\s*)+")
TABLE_RULE = re.compile(r"\|?(?:\s*:?-{2,}:?\s*\|?)+")
NO_TEXT = re.compile(
    r"\s*(?:(?:```|~~~)\w*|-{3,}|\*{3,}|_{3,}|[\[\]{}(),]+"
    r"|</?(?:questions?|topics?|items?|lists?|lines?|ol|ul|li)>)\s*",
    re.IGNORECASE,
)
TAGGED = re.compile(r"<(question|topic|item|line|li|q)>\s*(.*?)\s*</\1>", re.IGNORECASE)
# Before a question, an LLM may write "Question:" or repeat the hint, or a topic in bold.
LABEL = re.compile(
    r"[*_]*(?:question|request|prompt|user|topic|q|frage|thema)[*_]*\s*:[*_]*(?:\s+(?=\S)|$)",
    re.IGNORECASE,
)
BRACKETED = r"(?:\[[^|\[\]]*\|(?:[^\[\]]|\[[^\[\]]*\])*\]|\([^|()]*\|[^()]*\))"
HINT = re.compile(
    rf"(?P<bold>[*_]{{1,3}})?{BRACKETED}(?(bold)(?:(?P=bold)?:?(?P=bold)?))\s*(?:[-–—:→]|[-=]>)*\s*"
    r"|[*_]*[^|?.:!\[]{1,60}\|[^|?.:!]{1,60}?(?::[*_]*|[*_]+:?|\s[-–—])\s+(?=\S)"
)
AFTER = re.compile(
    rf"(?<=\S)\s*(?:[-–—]\s)?[*_]*{BRACKETED}[*_]*$"
    r"|(?<=[.?!])\s*[*_]*\((?:note|(?:this |it )?(?:tests|checks|asks)|this question)\b[^()]*\)"
    r"[*_]*$",
    re.IGNORECASE,
)
# What a line has beside the words of its item: a number, a letter or tags.
MARK_OF_A_LINE = re.compile(
    r"^\W*(?:(?:question|topic|line|q|no|frage|thema)?\W*\d{1,3}|[a-z]\))|</?\w+>", re.IGNORECASE
)
# "Sure! 6. How?", before a line with the next number.
INTRODUCED_NUMBER = re.compile(
    r"\A(?P<before>\s*[^\d\n]{1,100}[!.:])[ \t]+(?=(?P<number>\d{1,3})[.)]\s)"
)
NOTE = re.compile(r"[\W_]*(?:please )?note(?: that\b|[*_]*:)", re.IGNORECASE)
BOLD_LABEL = re.compile(r"\*\*[^*?]{1,60}(?::\*\*|\*\*\s*[:–—-])\s+(?=\S)")


@dataclass(frozen=True)
class Line:
    """A line of a completion.

    Attributes:
        number: of the item; None if the line is no item.
        text: of the item, without marks.
        reason: why the line is not used, or None.
        mark: what the line begins with.
        is_title: whether the line may be a heading, or has the titles of a table.
    """

    number: int | None
    text: str
    reason: str | None = None
    mark: Mark = "none"
    is_title: bool = False


def read_list(
    completion: Completion,
    first: int,
    examples: Collection[str],
    removed: Counter[str],
    count: int | None = None,
) -> list[Line]:
    """Return each line of a completion that is not empty, with its number or a reason.

    Args:
        completion: a numbered list. If it was cut off, its last line has the reason `cut_off`.
        first: number with which the prompt ends.
        examples: items that the prompt shows; repeated, they have the reason `repeats_example`.
        removed: counts what is removed (see `llms.cleaning`).
        count: number of lines that the prompt asks for, if a line's number means something. Then
            lines without numbers are only used if they are as many, and numbers from 1 are moved.
    """
    completion = clean(completion, removed)
    lines = split_lines(completion, count is None, removed)
    shown = wordings(examples)
    lines = [
        replace(line, reason="repeats_example")
        if line.reason is None and wording(line.text) in shown
        else line
        for line in join_lines(lines)
    ]
    lines = without_next_list(lines)
    items = [line for line in lines if line.mark == "number" and line.reason is None]
    if len(items) > 1 and {item.number for item in items} == {1}:  # Markdown counts them
        lines = [replace(line, mark="bullet") if line in items else line for line in lines]
        items = []
    if items:
        return use_numbers(lines, items[0], first, count)
    return count_lines(lines, first, count)


def split_lines(completion: Completion, is_topics: bool, removed: Counter[str]) -> list[Line]:
    """Return the lines of a completion as they are marked."""
    raw = one_item_a_line(completion.text).split("\n")
    lines: list[Line] = []
    has_markdown = has_explanation = False
    for index, text in enumerate(raw):
        if not text.strip():
            continue
        if NO_TEXT.fullmatch(text) or TABLE_RULE.fullmatch(text.strip()):
            has_markdown = True
            if "|" in text and lines:
                titles = raw[index - 1].strip()
                lines[-1] = replace(lines[-1], text=titles, is_title=True, reason="unnumbered")
            continue
        line = read_line(text.strip(), is_topics)
        line = replace(line, is_title=line.mark == "none" and is_heading(text.strip(), not lines))
        has_markdown |= any(text.count(mark) > line.text.count(mark) for mark in "*#<")
        has_explanation |= words(MARK_OF_A_LINE.sub("", text)) > words(line.text)
        if index == len(raw) - 1 and completion.finish == "length":
            line = replace(line, reason="cut_off")
        if raw[index - 1].strip() and lines and goes_on(lines[-1], line):
            line = replace(line, number=lines[-1].number, text=f"{lines.pop().text} {line.text}")
            line = replace(line, mark="number")
        lines.append(line)
    if has_markdown:
        removed["markdown"] += 1
    if has_explanation:
        removed["explanation"] += 1
    return lines


def words(text: str) -> int:
    """Return the number of words of a text."""
    return len(re.findall(r"\w+", text))


def is_heading(line: str, is_first: bool) -> bool:
    """Return whether a line without a number or bullet is written as a heading."""
    is_bold = bool(re.fullmatch(r"(\*\*|__)[^*_]+\1:?", line))
    return line.startswith("#") or is_bold or (is_first and line.endswith(":"))


def one_item_a_line(text: str) -> str:
    """Return a text with a line for each item, if items or an introduction are in one line."""
    intro = INTRODUCED_NUMBER.match(text)
    if intro and re.search(rf"^\s*{int(intro['number']) + 1}[.)]\s", text, re.MULTILINE):
        text = f"{intro['before']}\n{text[intro.end() :]}"
    numbers = [int(number) for number in WITHIN_A_LINE.findall(text)]
    is_list = len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1))
    return WITHIN_A_LINE.sub("\n", text) if is_list and "\n" not in text.strip() else text


def goes_on(item: Line, line: Line) -> bool:
    """Return whether a line asks what an item before it has not asked yet."""
    is_question = line.mark == "none" and line.text.endswith("?")
    return item.mark == "number" and item.text.endswith((".", "!", ":", ",")) and is_question


def read_line(line: str, is_topic: bool) -> Line:
    """Return a line with its mark. Of a table's row, it has the first topic, or the question."""
    line = PICTURES.sub("", HEADING.sub("", line, count=1) if HEADING.match(line) else line)
    if line.startswith("|") and line.endswith("|") and len(line) > 2:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        number = int(cells[0].strip("*.) ")) if cells[0].strip("*.) ").isdecimal() else None
        texts = cells[number is not None :] or [""]
        mark: Mark = "bullet" if number is None else "number"
        text = texts[0] if is_topic else max(texts, key=question_likeness)
        return Line(number, plain_item(text, is_topic), mark=mark)
    if tagged := TAGGED.fullmatch(line):
        return Line(None, plain_item(tagged[2], is_topic), mark="bullet")
    bullet = BULLET.fullmatch(line)
    if match := NUMBER.fullmatch(bullet["text"] if bullet else line):
        # In "**6. Text**" the bold text goes on after the number.
        bold = match["bold"] if match["bold"] and not match["end"] else ""
        text = f"{bold}{match['text']}"
        return Line(int(match["number"]), plain_item(text, is_topic), mark="number")
    if bullet:
        return Line(None, plain_item(bullet["text"], is_topic), mark="bullet")
    return Line(None, plain_item(line, is_topic))


def question_likeness(cell: str) -> tuple[bool, int]:
    """Return what is greatest for the cell of a table that has the question."""
    return "?" in cell, words(cell)


def plain_item(text: str, is_topic: bool) -> str:
    """Return an item without label, hint, quotes and emphasis, in which bold text is plain."""
    text = PICTURES.sub("", LAST_PICTURES.sub("", text) if is_topic else text)
    for pattern in (LABEL,) if is_topic else (LABEL, HINT, LABEL, BOLD_LABEL):
        if match := pattern.match(text):
            rest = text[match.end() :]
            # In "**[advice | Cats] How?**" the bold text goes on after the hint.
            bold: str = match.groupdict().get("bold") or ""
            is_open = bold and rest.endswith(bold) and match[0].count(bold) % 2
            text = bold + rest if is_open else rest
    text = without_bold(AFTER.sub("", text)).strip()
    if text[:1] in "\"“'" and text[-1:] == ",":
        text = text[:-1]
    return without_markdown(text, Counter())


def join_lines(lines: Sequence[Line]) -> list[Line]:
    """Join a numbered line without text and the next line, which has the text."""
    joined: list[Line] = []
    for line in lines:
        before = joined[-1] if joined else None
        if before and before.mark == "number" and not before.text and line.mark != "number":
            joined[-1] = replace(before, text=line.text, reason=line.reason)
        else:
            joined.append(line)
    return joined


def without_next_list(lines: Sequence[Line]) -> list[Line]:
    """Give the reason `next_list` to all lines from where the numbers start again at 1."""
    numbers = [line.number for line in lines]
    used = [number for number in numbers if number is not None]
    if set(used) == {1}:
        return list(lines)
    starts = [index for index, number in enumerate(numbers) if number == 1]
    restarts = [index for index in starts if any(number is not None for number in numbers[:index])]
    if not restarts:
        return list(lines)
    rest = [replace(line, number=None, reason="next_list") for line in lines[restarts[0] :]]
    return [*lines[: restarts[0]], *rest]


def use_numbers(
    lines: Sequence[Line], first_item: Line, first: int, count: int | None
) -> list[Line]:
    """Return the lines of a list with numbers; the others are `unnumbered`.

    The first line may be the item `first` without its number, if the next number follows it.
    """
    assert first_item.number is not None
    start = first_item.number
    lines = list(lines)
    if lines[0].mark == "none" and start not in (1, first) and not is_remark(lines[0].text):
        lines[0] = replace(lines[0], number=start - 1 if start == 2 else first, mark="number")
        start = min(start - 1, first)
    shift = first - start if count is not None and start == 1 else 0
    numbers: set[int] = set()
    for index, line in enumerate(lines):
        if line.mark != "number" or line.number is None:
            lines[index] = replace(line, number=None, reason=line.reason or "unnumbered")
            continue
        number = line.number + shift
        reason = line.reason
        if count is not None and not first <= number < first + count:
            reason = reason or "no_hint"
        elif count is not None and number in numbers:
            reason = reason or "repeated_number"
        lines[index] = replace(line, number=number, reason=reason)
        if reason is None and line.text:
            numbers.add(number)
    return lines


def count_lines(lines: Sequence[Line], first: int, count: int | None) -> list[Line]:
    """Number the lines of a list without numbers: bullets if there are any, else all lines.

    If `count` is given and the lines are not as many, only a first line without a mark is used.
    """
    mark = "bullet" if any(line.mark == "bullet" for line in lines) else "none"
    items = [
        index
        for index, line in enumerate(lines)
        if line.mark == mark
        and line.reason in (None, "cut_off")
        and not (mark == "none" and is_remark(line.text))
    ]
    # If most lines are bold, they are the items.
    plain = [index for index in items if not lines[index].is_title]
    if 2 * len(plain) > len(items):
        items = plain
    if count is not None and len(items) != count:
        items = [index for index in items[:1] if index == 0 and mark == "none"]
    numbers = {index: number for number, index in enumerate(items, start=first)}
    return [
        replace(line, number=numbers[index])
        if index in numbers
        else replace(line, number=None, reason=line.reason or "unnumbered")
        for index, line in enumerate(lines)
    ]


def is_remark(text: str) -> bool:
    """Return whether a line speaks of the list or refuses it, and so is no item of it."""
    is_kind = (is_introduction, is_refusal, is_offer, NOTE.match)
    return any(one(text) for one in is_kind)
