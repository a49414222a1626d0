"""The cleaner of completions: removes what LLMs write around an answer.

`without_thoughts` is for every completion, and all that a response needs: it removes thoughts in
tags and left-over special tokens. A code fence or JSON can be the response itself, and stays.
`clean` is for parsers, which read lines: it also removes tags and a code fence around the whole
text, and writes a list or an object in JSON as lines. The other functions are for parsers that know
which part of a completion is the answer: they remove quotes and emphasis around it, an introduction
before it, and notes and offers after it. What is part of an answer stays: a sentence about the tag
`<think>`, a list, emphasis within the text, or "Note:" in its middle.

The functions count what they remove in a counter, once for each text: as `thought`,
`special_token`, `code_fence`, `introduction`, `note`, `offer`, `explanation` (values beside an item
of JSON) or `markdown` (which includes JSON and quotes around the text).
"""

import json
import re
from collections import Counter
from dataclasses import replace
from typing import Any

from aligners.core.completions import Completion
from aligners.llms.remarks import AGREEMENT, is_note, is_offer

NAMES_OF_THOUGHTS = (
    r"(?:seed:)?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|analysis|planning"
    r"|brainstorm(?:ing)?|(?:inner|internal)[ _]?monologue)"
)
OPENING = rf"(?:<{NAMES_OF_THOUGHTS}>|\[THINK\]|◁think▷|<\|(?:begin_of_thought|start_thinking)\|>)"
CLOSING = rf"(?:</{NAMES_OF_THOUGHTS}>|\[/THINK\]|◁/think▷|<\|end_(?:of_thought|thinking)\|>)"
FLAGS = re.IGNORECASE | re.MULTILINE | re.DOTALL
THOUGHTS = (
    # The channels of gpt-oss, also if its special tokens were left out.
    re.compile(
        r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[^<]*<\|message\|>.*?"
        r"(?:<\|end\|>|\Z)",
        re.DOTALL,
    ),
    re.compile(r"\A\s*analysis(?=[A-Z]).*?assistantfinal", re.DOTALL),
    # Several thoughts may follow one another in a line.
    re.compile(rf"(?:^(?:[ \t]*{OPENING}.*?{CLOSING})+|{OPENING}[ \t]*\n.*?{CLOSING})", FLAGS),
    # The prompt of some chat templates ends with the opening tag, so it is not in the completion.
    re.compile(
        rf"\A(?:(?!{OPENING}).)*?(?:^[ \t]*{CLOSING}|{CLOSING}[ \t]*$|(?<=[.!?:)]){CLOSING})", FLAGS
    ),
    # A thought that was not closed.
    re.compile(rf"\A\s*{OPENING}.*|^[ \t]*{OPENING}[ \t]*$.*", FLAGS),
)

SPECIAL_TOKEN = (
    r"(?:<[|｜][^|｜<>\s]{1,40}[|｜]>|<(?:bos|eos|pad|start_of_turn|end_of_turn)>|<</?SYS>>"
    r"|\[/?INST\])"
)
FIRST_TOKENS = re.compile(
    rf"\A\s*(?:(?:{SPECIAL_TOKEN}|<s>(?!.*</s>[ \t]*[^\s<\[]))\s*"
    r"(?:(?:assistant|model|final)\b\s*)?)+"
)
LABEL_OF_A_TURN = re.compile(r"\A\s*[Aa]ssistant:\s")
# Some LLMs write their answer in tags after the thoughts.
ANSWER_IN_TAGS = re.compile(
    r"\A\s*<(answer|final_answer|final|output|result|response(?!.*<critique))>(.*?)(?:</\1>.*)?\Z",
    re.IGNORECASE | re.DOTALL,
)
# A text about special tokens has them in quotes or between spaces.
LAST_TOKEN = re.compile(
    rf"(?<![\s`\"'“‘(]){SPECIAL_TOKEN}|^{SPECIAL_TOKEN}|{SPECIAL_TOKEN}(?=[ \t]*(?:$|<))"
    r"|</s>(?=\s*(?:$|<|\[))",
    re.MULTILINE,
)

FENCE_LINE = re.compile(r"^[ \t]*(?:```|~~~).*$", re.MULTILINE)
FENCE = re.compile(r"[ \t]*(?:```+|~~~+)[ \t]*(?:text|txt|plain|plaintext|markdown|md)?[ \t]*")

# JSON begins a line, also in a code fence, and ends a line.
JSON_START = re.compile(r"^(?:[ \t]*```json[ \t]*\n\s*)?[ \t]*(?P<json>[\[{])", FLAGS)
JSON_END = re.compile(r"\s*\n[ \t]*```[ \t]*$|[ \t]*$", re.MULTILINE)
HALF_PAIR = re.compile("[\ud800-\udfff]")
# In strings, LLMs write line breaks as they are.
DECODER = json.JSONDecoder(strict=False)
# Keys of the item in an object that has other values as well.
KEYS_OF_AN_ITEM = ("question", "request", "prompt", "topic", "text", "item")

INTRODUCED_ANSWER = re.compile(
    rf"\W*(?:{AGREEMENT}\b[^\w\n]*)?(?:here(?:['’]s|\s+is)|below\s+is|this\s+is)\s+"
    r"(?:the|a|an|my|your)\s+(?:\w+[ -]){0,4}(?:response|answer|reply|version|text|correction"
    r"|revision|rewrite)\b[^:\n]*:[*_ \t]*(?=\S|\n)"
    r"|\W*(?:instead,\s+)?(?:the|a|an|my)\s+(?:\w+[ -]){0,4}?(?:response|reply|correction"
    r"|(?:better|corrected|revised|improved) (?:answer|version))\s+(?:is"
    r"|(?:would|should|could|might)\s+(?:be|read|say|have been))\s*(?::[*_ \t]*|(?=[\"“]))",
    re.IGNORECASE,
)

NAMES_OF_CHANGES = (
    r"(?:changes? made|key (?:changes|improvements)|summary of (?:the )?changes|improvements? made"
    r"|what (?:i|was|has) (?:been )?changed|explanation of (?:the )?(?:changes?|corrections?))\b"
)
LIST_OF_CHANGES = re.compile(
    rf"\n[ \t]*(?:#+[ \t]*[*_]*{NAMES_OF_CHANGES}[^\n]*\n|[*_>(\[]*{NAMES_OF_CHANGES}[^\n:]{{0,60}}"
    r"(?::|[*_]+[ \t]*\n)).*\Z",
    re.IGNORECASE | re.DOTALL,
)
NOTE_IN_BRACKETS = re.compile(r"(?<=\S)[ \t]*(?:\(([^()]+)\)|\[([^\[\]]+)\])[ \t]*\Z")
RULE = r"[ \t]*(?:-{3,}|\*{3,}|_{3,}|={3,})[ \t]*"
RULES_AROUND = re.compile(rf"\A(?:{RULE}\n\s*)+|(?:\n{RULE}\s*)+\Z")

QUOTES = [tuple(pair) for pair in ('""', "“”", "„“", "„”", "«»", "‘’", "''", "``")]
EMPHASIS = re.compile(
    r"(?P<mark>\*{1,3}|_{1,3})(?=[^\s*_])(?P<text>.+?)(?<=[^\s*_])(?P=mark)", re.DOTALL
)
BOLD = re.compile(r"(?<![\w*])(\*\*|__)(?=[^\s*_])(.+?)(?<=[^\s*_])\1(?![\w*])")


def without_thoughts(completion: Completion, removed: Counter[str]) -> Completion:
    """Return a completion without thoughts and special tokens.

    Of a thought that was not closed, nothing stays. If a special token ends the text, the
    completion is not cut off, also if it reached its limit.
    """
    text, finish = completion.text.replace("\r\n", "\n"), completion.finish
    thoughtless = text
    for pattern in THOUGHTS:
        thoughtless = outside_code(pattern, thoughtless)
    if thoughtless != text or completion.thoughts:
        removed["thought"] += 1
        # The answer in tags belongs to the thought in tags; other texts in tags can be XML.
        thoughtless = ANSWER_IN_TAGS.sub(r"\2", thoughtless)
    answer = FIRST_TOKENS.sub("", thoughtless)
    if last := last_token(answer):
        answer, finish = answer[: last.start()], "stop"
    if answer != thoughtless:
        removed["special_token"] += 1
    return replace(completion, text=answer, finish=finish)


def is_thought_alone(completion: Completion) -> bool:
    """Return whether a completion reached its token limit before the LLM ended its thoughts."""
    if completion.finish != "length":
        return False
    removed = Counter[str]()
    text = without_thoughts(completion, removed).text
    return not text.strip() and bool(removed["thought"] or completion.thoughts)


def outside_code(pattern: re.Pattern[str], text: str) -> str:
    """Return a text without the matches of a pattern, other than those in a code fence."""
    return pattern.sub(lambda match: match[0] if is_in_code(text, match.start()) else "", text)


def last_token(text: str) -> re.Match[str] | None:
    """Return the first special token that ends a text; one in code, or `</s>` in HTML, does not."""
    for match in LAST_TOKEN.finditer(text):
        before = text[: match.start()]
        is_html = match[0] == "</s>" and before.count("<s>") > before.count("</s>")
        if not is_html and not is_in_code(text, match.start()):
            return match
    return None


def is_in_code(text: str, place: int) -> bool:
    """Return whether a place of a text is in a code fence that begins and ends around it."""
    before = len(FENCE_LINE.findall(text, 0, place))
    return before % 2 == 1 and FENCE_LINE.search(text, place) is not None


def without_wrapping(completion: Completion, removed: Counter[str]) -> Completion:
    """Return a completion without what is around the whole text, for parsers.

    That is thoughts and special tokens, "Assistant:", tags such as `<answer>`, and a code fence.
    """
    found = Counter[str]()
    completion = without_thoughts(completion, found)
    text = ANSWER_IN_TAGS.sub(r"\2", LABEL_OF_A_TURN.sub("", completion.text))
    if text != completion.text:
        found["special_token"] += 1
    text = without_fence(text, found)
    removed.update(set(found))
    return replace(completion, text=text)


def clean(completion: Completion, removed: Counter[str]) -> Completion:
    """Return a completion without what is around the whole text, and JSON as lines, for parsers."""
    completion = without_wrapping(completion, removed)
    return replace(completion, text=without_json(completion.text, removed))


def without_fence(text: str, removed: Counter[str]) -> str:
    """Return a text without the code fence around it; a fence of program code stays."""
    lines = text.strip().split("\n")
    fences = [
        number for number, line in enumerate(lines) if line.lstrip().startswith(("```", "~~~"))
    ]
    ends = {0, len(lines) - 1} if len(lines) > 1 else {0}
    if not FENCE.fullmatch(lines[0]) or not ends.issuperset(fences):
        return text
    removed["code_fence"] += 1
    return "\n".join(line for number, line in enumerate(lines) if number not in fences)


def without_json(text: str, removed: Counter[str]) -> str:
    """Return a text in which lists and objects in JSON are lines: "- item" or "name: value"."""
    found = Counter[str]()
    parts: list[str] = []
    end = 0
    for start in JSON_START.finditer(text):
        if start.start() < end or not (decoded := decode_json(text, start.start("json"))):
            continue
        value, json_end = decoded
        if (after := JSON_END.match(text, json_end)) and (lines := json_lines(value, found)):
            parts += [text[end : start.start()], "\n".join(lines)]
            end = after.end()
            found["markdown"] = 1
    removed.update(set(found))
    return "".join([*parts, text[end:]])


TRAILING_COMMA = re.compile(r",\s*[}\]]")
STRING_OR_TRAILING_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)


def decode_json(text: str, start: int) -> tuple[Any, int] | None:
    """Return the value of the JSON that begins at a place of a text, and its end; None if none.

    A comma after the last item, which JSON does not have but LLMs write, is read as a blank.
    """
    try:
        return DECODER.raw_decode(text, start)
    except (ValueError, RecursionError):
        pass
    if not TRAILING_COMMA.search(text, start):
        return None
    rest = STRING_OR_TRAILING_COMMA.sub(lambda found: found[1] or " ", text[start:])
    try:
        value, length = DECODER.raw_decode(rest)
    except (ValueError, RecursionError):
        return None
    return value, start + length


def json_lines(value: Any, removed: Counter[str]) -> list[str]:
    """Return the lines of a list or an object; an object with one list is that list."""
    if isinstance(value, list):
        return [json_item(item, removed) for item in value]
    items = next((one for one in value.values() if isinstance(one, list)), [])
    others = [
        f"{name}: {one_line(item)}" if not isinstance(item, dict) else json_item(item, removed)
        for name, item in value.items()
        if item is not items
    ]
    return [*others, *(json_item(item, removed) for item in items)]


def json_item(item: Any, removed: Counter[str]) -> str:
    """Return an item of a list as a line; one with several values as the row of a table."""
    if not isinstance(item, dict):
        return f"- {one_line(item)}"
    name = next((name for name in KEYS_OF_AN_ITEM if name in item), None)
    if name is None:
        return f"| {' | '.join(map(one_line, item.values()))} |"
    number = next((one for one in item.values() if str(one).isdecimal()), None)
    if len(item) > 1 + (number is not None):
        removed["explanation"] += 1
    return f"{'-' if number is None else f'{number}.'} {one_line(item[name])}"


def one_line(value: Any) -> str:
    """Return a value of JSON in one line."""
    return " ".join(encodable(str(value)).split())


def encodable(text: str) -> str:
    r"""Return a text of JSON with U+FFFD for half a surrogate pair (`\ud83d`) of an escape."""
    return HALF_PAIR.sub("\ufffd", text)


def without_introduction(text: str, removed: Counter[str], response: str = "") -> str:
    """Return an answer without words such as "Here is the corrected response:" before it.

    An introduction that the corrected `response` has as well is part of the answer.
    """
    match = INTRODUCED_ANSWER.match(text)
    if not match or not text[match.end() :].strip() or match[0].strip() in response:
        return text
    removed["introduction"] += 1
    return text[match.end() :]


def without_notes(text: str, response: str, removed: Counter[str]) -> str:
    """Return a correction without the notes and offers after it.

    A paragraph that the corrected response has as well is part of the answer.
    """
    text = text.rstrip()
    if (changes := LIST_OF_CHANGES.search(text)) and changes[0].strip() not in response:
        text = text[: changes.start()].rstrip()
        removed["note"] += 1
    while last := last_part(text):
        kind = "note" if is_note(last) else "offer" if is_offer(last) else None
        if kind is None or last in response:
            break
        removed[kind] += 1
        text = text.removesuffix(last).rstrip()
    return text


def last_part(text: str) -> str | None:
    """Return what may be a note after a text: its last paragraph or line, or a last bracket."""
    before, _, line = text.rpartition("\n")
    if not before.strip():
        bracket = NOTE_IN_BRACKETS.search(text)
        return bracket[0].strip() if bracket else None
    paragraph = re.split(r"\n[ \t]*\n", text)[-1]
    if paragraph != text and (is_note(paragraph) or is_offer(paragraph)):
        return paragraph
    if not (is_note(line) or is_offer(line)) and (bracket := NOTE_IN_BRACKETS.search(line)):
        return bracket[0].strip()
    return line


def without_markdown(text: str, removed: Counter[str]) -> str:
    """Return an answer without rules, quotes and emphasis around the whole of it."""
    plain = previous = RULES_AROUND.sub("", text.strip()).strip()
    if plain.count("**") % 2:  # The other mark was before a label.
        plain = previous = plain.removesuffix("**").removeprefix("**").strip()
    if plain and all(line.startswith(">") for line in plain.split("\n")):
        plain = previous = re.sub(r"^>[ \t]*", "", plain, flags=re.MULTILINE)
    while (plain := unwrap(previous)) != previous:
        previous = plain
    if plain != text.strip():
        removed["markdown"] += 1
    return plain


def unwrap(text: str) -> str:
    """Return a text without one pair of marks around the whole of it."""
    if match := EMPHASIS.fullmatch(text):
        inner = match["text"]
        return text if match["mark"] in inner or "\n\n" in inner else inner
    for opening, closing in QUOTES:
        inner = text[1:-1]
        if len(text) > 2 and text[0] == opening and text[-1] == closing:
            # An apostrophe is no quote.
            others = re.sub(r"(?<=\w)['’](?=\w)", "", inner)
            return text if opening in others or closing in others else inner.strip()
    return text


def without_bold(line: str) -> str:
    """Return a line of plain text without its marks of bold text."""
    return BOLD.sub(r"\2", line)
