"""The cleaner of completions: removes what LLMs write around an answer.

`clean` is for every completion: it removes thoughts in tags, left-over special tokens, and a code
fence around the whole text. The other functions are for parsers, which know which part of a
completion is the answer: they remove quotes and emphasis around it, an introduction before it, and
notes and offers after it. What is part of an answer stays: a sentence about the tag `<think>`, a
list, emphasis within the text, or "Note:" in its middle.

The functions count what they remove in a counter, once for each text: as `thought`,
`special_token`, `code_fence`, `introduction`, `note`, `offer` or `markdown` (which includes quotes
around the text).
"""

import re
from collections import Counter
from dataclasses import replace

from aligners.core.completions import Completion

NAMES_OF_THOUGHTS = (
    r"(?:seed:)?(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad|analysis|planning"
    r"|brainstorm(?:ing)?|(?:inner|internal)[ _]?monologue)"
)
OPENING = rf"(?:<{NAMES_OF_THOUGHTS}>|\[THINK\]|◁think▷|<\|begin_of_thought\|>)"
CLOSING = rf"(?:</{NAMES_OF_THOUGHTS}>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>)"
FLAGS = re.IGNORECASE | re.MULTILINE | re.DOTALL
THOUGHTS = (
    # The channels of gpt-oss, also if its special tokens were left out.
    re.compile(
        r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)[^<]*<\|message\|>.*?"
        r"(?:<\|end\|>|\Z)",
        re.DOTALL,
    ),
    re.compile(r"\A\s*analysis(?=[A-Z]).*?assistantfinal", re.DOTALL),
    re.compile(rf"^[ \t]*{OPENING}.*?{CLOSING}", FLAGS),
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
    rf"\A\s*(?:(?:{SPECIAL_TOKEN}|<s>(?!.*</s>[ \t]*[^\s<\[]))\s*(?:(?:assistant|model|final)\b\s*)?)+"
)
# A text about special tokens has them in quotes or between spaces.
LAST_TOKEN = re.compile(
    rf"(?<![\s`\"'“‘(]){SPECIAL_TOKEN}|^{SPECIAL_TOKEN}|{SPECIAL_TOKEN}(?=[ \t]*(?:$|<))"
    r"|</s>(?=\s*(?:$|<|\[))",
    re.MULTILINE,
)

FENCE = re.compile(r"[ \t]*(?:```+|~~~+)[ \t]*(?:text|txt|plain|plaintext|markdown|md)?[ \t]*")

AGREEMENT = (
    r"(?:sure(?: thing)?|certainly|of course|absolutely|okay|ok|got it|understood|great|alright"
    r"|no problem|definitely|happy to help)"
)
OWN_WORDS = (
    r"(?:here(?:['’]s|\s+is|\s+are|\s+they\s+are|\s+you\s+go)|below\s+(?:is|are)|these\s+are"
    r"|the\s+following\s+(?:is|are)|i(?:['’]d|\s+would)\s+be\s+(?:happy|glad)\s+to"
    r"|i(?:['’]ll|\s+will|\s+can)\s+(?:\w+ly\s+)?(?:write|provide|continue|list|generate|create|give|add"
    r"|help|answer|respond)"
    r"|let(?:['’]s|\s+me)\s+(?:write|provide|continue|list|generate|create|start|begin|think))\b"
)
WRITTEN = (
    r"\b(?:questions?|topics?|responses?|critiques?|corrections?|answers?|list|lines|suggestions"
    r"|ideas|examples|prompts)\b"
)
INTRODUCTION = re.compile(
    rf"\W*{AGREEMENT}\W*"
    rf"|\W*(?:{AGREEMENT}\W+)*here\s+(?:you\s+go|they\s+are|it\s+is)\W*"
    rf"|\W*(?:{AGREEMENT}\W+)*{OWN_WORDS}[^\n]*:\W*"
    rf"|\W*(?:{AGREEMENT}\W+)*{OWN_WORDS}[^\n?]*{WRITTEN}[^\n?]*",
    re.IGNORECASE,
)
INTRODUCED_ANSWER = re.compile(
    rf"\W*(?:{AGREEMENT}\b[^\w\n]*)?(?:here(?:['’]s|\s+is)|below\s+is|this\s+is)\s+"
    r"(?:the|a|an|my|your)\s+(?:\w+[ -]){0,4}(?:response|answer|reply|version|text|correction"
    r"|revision|rewrite)\b[^:\n]*:[*_ \t]*(?=\S|\n)",
    re.IGNORECASE,
)

# "I cannot sleep" is none, and neither is "I can't help laughing".
REFUSAL = re.compile(
    r"\W*(?:(?:i(?:['’]m| am) (?:\w+ )?(?:sorry|afraid)|sorry|apologies|my apologies"
    r"|i apologi[sz]e|unfortunately|as an ai\b[^,.]*)\b[^\w\n]*(?:but|that|for|,)?\s*)?"
    r"(?:i|we) (?:can(?:not|['’]t| not)|could(?:n['’]t| not)|won['’]t|will not|must decline to"
    r"|(?:am|are) (?:unable|not able|not willing|not comfortable) to|['’]?m (?:unable|not able) to"
    r"|do(?:n['’]t| not) feel comfortable|refuse to|(?:have to|must) decline)\b"
    r" ?(?:help|assist|write|provid|creat|generat|answer|fulfil|comply|think of|come up with|produc"
    r"|continu|respond|engage|suggest|offer|support|complete|do|discuss|participat)\w*"
    r"(?: (?:with|in|to|on|for|of|about|you|a|an|any|one|the|some|more))*"
    r"(?: (?:this|that|these|those|such|it|your request|one|requests?|questions?|topics?|content"
    r"|prompts?|tasks?|harmful|anything|lists?|instructions?|information|responses?)\b|[.!]|$| that\b| for\b).*",
    re.IGNORECASE,
)
OFFER = re.compile(
    r"[\W_]*(?:(?:please )?let me know (?:if|whether|when|how)\b"
    r"|(?:would you like|do you want)\b.*\b(?:me to|more|another|others?|else|further)\b.*\?"
    r"|(?:shall|should|may|can) i (?:also )?(?:write|provide|continue|rephrase|rewrite|revise|adjust"
    r"|generate|suggest|add)\b.*\?"
    r"|(?:please )?(?:feel free|don['’]t hesitate|do not hesitate) to (?:ask|reach|contact|let me"
    r"|share|provide|request)\b"
    r"|(?:i )?hope (?:this|that|these|those|it) (?:help|meet|work|fit|is|are|suit)"
    r"|is there anything else\b"
    r"|if you (?:need|have|want|would like|['’]d like)\b.*\b(?:let me know|feel free|just (?:ask|say)"
    r"|please ask)"
    r"|i(?:['’]m|['’]d be| am| would be) (?:happy|glad) to (?:help|write|provide|adjust|revise"
    r"|continue|make)\b).*",
    re.IGNORECASE,
)

CHANGED = (
    r"(?:removed|changed|kept|corrected|rewrote|rewritten|revised|rephrased|reworded|added|replaced"
    r"|edited|adjusted|improved|toned|softened|modified|fixed|preserved|addressed|omitted|deleted"
    r"|left|made|ensured|tried)"
)
CHANGES = (
    r"(?:(?:remov|chang|keep|correct|rewrit|revis|rephras|replac|add|adjust|improv|soften|fix"
    r"|preserv|address|avoid|omit|delet|follow|compl|align|meet|adher|maintain)\w*|now|no longer)\b"
)
PARTS_OF_A_TEXT = (
    r"(?:insult\w*|sentences?|phrases?|words?|wording|tone|language|claims?|stereotypes?|remarks?"
    r"|advice|facts?|errors?|responses?|answers?|rest|original|critique|corrections?|content"
    r"|information|principles?(?! of\b)|polite|rude|harmful|accurate)\b"
)
# What is said of a text that was edited; "the final answer is 4" is not.
ABOUT_THE_TEXT = re.compile(
    rf"\bi(?:['’]ve| have)? (?:\w+ly )?{CHANGED}\b[^.\n]*\b{PARTS_OF_A_TEXT}"
    rf"|\b{PARTS_OF_A_TEXT} (?:was|were|has been|have been|is|are) (?:\w+ly )?(?:{CHANGED}\b|unchanged)"
    r"|\b(?:the|this|my) (?:correction|critique|rewrite"
    r"|(?:corrected|revised|rewritten|improved|edited) (?:response|answer|reply)"
    r"|(?:original|initial|first|new|updated|final|above) response)\b"
    r"|\b(?:the|this) (?:(?:corrected|revised|rewritten|improved|new) )?(?:response|version|text) "
    rf"{CHANGES}"
    r"|\b(?:follow|compl|align|meet|adher|respect|violat|in line|accord|honou?r|satisf|keep)\w*\b"
    r"[^.\n]*\bprinciples?\b(?! of\b)"
    r"|\b(?:no|without) (?:changes?|corrections?|edits?)\b"
    rf"|^\s*(?:[-*•]|\d+[.)])\s+{CHANGED} ",
    re.IGNORECASE | re.MULTILINE,
)
LABEL_OF_A_NOTE = (
    r"(?:please )?(?:note|notes|n\.?b\.?|explanation|reasons?|reasoning|rationale|justification"
    r"|remarks?|comments?|edit|disclaimer|p\.?s\.?|changes?)\b"
)
NOTE = re.compile(
    rf"[*_>#\s]*(?:{LABEL_OF_A_NOTE}|i(?:['’]ve| have)? (?:\w+ly )?{CHANGED}\b"
    r"|(?:the|this|my) (?:correct|revis|rewrit|response|version|text|improved|updated|new)\w*)",
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

QUOTES = ('""', "“”", "„“", "„”", "«»", "‘’", "''", "``")
EMPHASIS = re.compile(
    r"(?P<mark>\*{1,3}|_{1,3})(?=[^\s*_])(?P<text>.+?)(?<=[^\s*_])(?P=mark)", re.DOTALL
)
BOLD = re.compile(r"(?<![\w*])(\*\*|__)(?=[^\s*_])(.+?)(?<=[^\s*_])\1(?![\w*])")


def clean(completion: Completion, removed: Counter[str]) -> Completion:
    """Return a completion without thoughts, special tokens and a code fence around it.

    If a special token ends the text, the completion is not cut off, also if it reached its limit.
    """
    text, finish = completion.text, completion.finish
    without_thoughts = text
    for pattern in THOUGHTS:
        without_thoughts = pattern.sub("", without_thoughts)
    if without_thoughts != text:
        removed["thought"] += 1
        text = without_thoughts
    answer = FIRST_TOKENS.sub("", text)
    if last := LAST_TOKEN.search(answer):
        answer, finish = answer[: last.start()], "stop"
    if answer != text:
        removed["special_token"] += 1
    return replace(completion, text=without_fence(answer, removed), finish=finish)


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


def without_introduction(text: str, removed: Counter[str]) -> str:
    """Return an answer without words such as "Here is the corrected response:" before it."""
    match = INTRODUCED_ANSWER.match(text)
    if not match or not text[match.end() :].strip():
        return text
    removed["introduction"] += 1
    return text[match.end() :]


def is_introduction(text: str) -> bool:
    """Return whether a text only introduces another: "Sure! Here are the questions:"."""
    return bool(text.strip()) and bool(INTRODUCTION.fullmatch(text.strip()))


def is_refusal(text: str) -> bool:
    """Return whether an LLM refuses what it was asked for: "I'm sorry, I can't help with that."."""
    return bool(REFUSAL.match(text))


def is_offer(text: str) -> bool:
    """Return whether a text offers further help: "Let me know if you'd like more!"."""
    return bool(OFFER.fullmatch(text))


def is_note(text: str) -> bool:
    """Return whether a text says how an answer was edited: "Note: I removed the insult."."""
    inner = text.strip()
    in_brackets = inner[:1] in "([" and inner[-1:] in ")]" and len(inner) > 1
    in_italics = bool(EMPHASIS.fullmatch(inner)) and not inner.startswith("**")
    starts_as_note = NOTE.match(inner.lstrip("([")) is not None
    return (in_brackets or in_italics or starts_as_note) and bool(ABOUT_THE_TEXT.search(inner))


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
