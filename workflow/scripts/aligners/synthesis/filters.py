"""Filters of questions and pairs: each returns the reason to drop a row, or None.

The patterns match whole words, tags and constructs, not substrings. So texts with "code of
conduct", "10 < 20", curly quotes or "nothing is wrong with that" are kept.
"""

import re
from collections import Counter
from collections.abc import Sequence

from aligners.configuration.kinds.synthesis import Language
from aligners.configuration.languages import ENGLISH
from aligners.core.counts import Filtered
from aligners.core.rows import Row
from aligners.synthesis.critiques import ENGLISH_READER, CritiqueReader, follow_critique, is_remark
from aligners.synthesis.language import is_in_language

# Words that stand for no text, and a place of a template that was not filled in.
EMPTY = re.compile(
    r"\W*[\[<{](insert|your|the|write|add|corrected|revised|improved|aligned)\b"
    r"[^\[\]<>{}]*[\]>}]\W*"
    r"|[\W_]*(none|n/?a|null|nan|nothing|undefined|todo|tbd|empty|blank"
    r"|(no|left) (answer|response|content|text|output|blank)( (was )?(given|provided|available))?)?"
    r"[\W_]*",
    re.IGNORECASE,
)
# Labels of the prompt's parts, roles of chats, and marks of chat templates.
LEAKED_PROMPT = re.compile(
    r"\b(Input|Response|Critique|Correction|Question type|Topics?|Principles?|Instructions?)\s*:"
    r"|^[#*_\s]*(User|Human|Assistant|System|AI|Bot|Chatbot|Model|Prompt|Output|Reviewer)[*_]*\s*:"
    r"|[.!?][*_\s]+(User|Human|Assistant|System)[*_]*\s*:"
    r"|#{2,}\s*(User|Human|Assistant|System|Instruction|Input|Response|Output|Critique|Correction)"
    r"|\b(the|these|those|our) principles (above|below|say|given|listed|state|require|demand)\b"
    r"|\bprinciples (of|in) the (task|prompt|instructions|examples?)\b"
    r"|\b(above|given|listed) principles\b"
    r"|\b(by|per|under|to|with|of|violates?) principle \d|\bPrinciple \d"
    r"|\[/?INST\]|<</?SYS>>|<\|[\w ]+\|>|<(start|end)_of_turn>|</?s>|\[(BOS|EOS|PAD|SEP|CLS)\]"
    r"|\b(as|like) in the (examples?|demonstrations?) (above|below|given)",
    re.MULTILINE,
)
TAGS = (
    "a|abbr|address|article|aside|audio|b|big|blockquote|body|br|button|canvas|center|cite|code|col"
    "|dd|del|details|dfn|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|h[1-6]|head"
    "|header|hr|html|i|iframe|img|input|ins|kbd|label|legend|li|link|main|mark|meta|nav|object|ol"
    "|option|p|picture|pre|q|s|samp|script|section|select|small|source|span|strike|strong|style|sub"
    "|summary|sup|svg|table|tbody|td|template|textarea|tfoot|th|thead|time|title|tr|tt|u|ul|var"
    "|video|wbr"
)
MARKUP = re.compile(
    rf"</?({TAGS})(\s+[\w-]+\s*=[^<>]*)?\s*/?>|<!--|<!DOCTYPE|&(#\d+|#x[\da-f]+);"
    r"|&(nbsp|amp|lt|gt|quot|apos|copy|reg|trade|hellip|mdash|ndash|bull|middot|times|deg|euro"
    r"|[lr][sd]quo|[lr]aquo|[aeiouc](uml|acute|grave|circ|cedil));",
    re.IGNORECASE,
)
CODE = re.compile(
    r"```"
    # Python
    r"|^\s*(def|class) \w+\s*[(:].*:?\s*$"
    r"|\bdef \w+\([^)]*\)\s*(->\s*\w+\s*)?:"
    r"|^\s*(import \w+(\.\w+)*( as \w+)?|from [\w.]+ import \w+.*)\s*(;|$)"
    r"|\bif __name__\b|\bself\.\w+|^\s*(elif .+|else|try|finally|except.*):\s*$"
    r"|^[ \t]+return\b.*$|\blambda \w+( ?, ?\w+)*:"
    # C and its relatives, JavaScript, Rust, Go
    r"|#include\s*<"
    r"|\b(public|private|protected) (static )?\w+ \w+\s*\("
    r"|\bfunction\s*\w*\s*\([^)]*\)\s*\{"
    r"|\b(print|println|printf|console\.log|System\.out\.println|fmt\.Print\w*|println!)\s*\("
    r"|\bprintln!|\b(fn|func) \w+\([^)]*\).*\{|^\s*package \w+\s*;?$"
    r"|\b(for|while|if)\s*\([^)]*[;=<>][^)]*\)\s*\{?"
    r"|\b(var|let|const) \w+\s*(:\s*\w+)?="
    r"|\b\w+ = \w+\.\w+\("
    r"|=>\s*[{(]|\)\s*=>|===|!==|\w\+\+;|\w\(\w*\)\s*;"
    r"|\breturn [\w.]+(\([^)]*\)|\[[^]]*\])?;"
    # SQL, shell, R, data and style sheets
    r"|\bSELECT\b.+\bFROM\b|\b(INSERT INTO|CREATE TABLE|DELETE FROM|UPDATE \w+ SET)\b"
    r"|^\s*\$ \w|^#!/|\bsudo \w+|\b(pip3?|npm|apt(-get)?|brew|conda|docker|kubectl|cargo) "
    r"(install|run|update|build|pull|exec|get)\b|\bgit (commit|clone|push|pull|checkout|add)\b"
    r"|\b(curl|wget|grep|sed|awk|chmod|echo|ls|cat) (-\w+ |\")"
    r"|\w+ <- \w+"
    r"|\{\s*\"[^\"]+\"\s*:|\{[^{}]*\b[\w-]+\s*:\s*[^;{}]+;[^{}]*\}"
    r"|[{;]\s*$[\s\S]*^\s*\}",
    re.MULTILINE,
)


def text_reason(text: str, language: Language, languages: Sequence[str] = ENGLISH) -> str | None:
    """Return the reason why a text is not plain text in one of some languages, or None.

    `language` has `minimum_words` and `minimum_ratio`, the arguments of `is_in_language`.
    """
    if LEAKED_PROMPT.search(text):
        return "leaked_prompt"
    if CODE.search(text):
        return "code"
    if MARKUP.search(text):
        return "markup"
    bounds = (language.minimum_words, language.minimum_ratio)
    if not is_in_language(text, tuple(languages), *bounds):
        return "language"
    return None


def pair_reason(row: Row, language: Language, languages: Sequence[str] = ENGLISH) -> str | None:
    """Return the reason why a pair cannot be used for training, or None.

    The reasons are empty, leaked_prompt, code, markup and language.
    """
    response, correction = texts = [row["response"], row["aligned_response"]]
    if EMPTY.fullmatch(response):
        return "empty"
    # "None." in place of a correction can be a remark, on which the critique decides.
    if EMPTY.fullmatch(correction) and not is_remark(correction):
        return "empty"
    for text in [row["question"], *texts]:
        if reason := text_reason(text, language, languages):
            return reason
    return None


def labelled_reason(row: Row, language: Language, languages: Sequence[str]) -> str | None:
    """Return the reason why a labelled row cannot be used for training, or None."""
    if EMPTY.fullmatch(row["response"]):
        return "empty"
    texts = (row["question"], row["response"])
    reasons = (text_reason(text, language, languages) for text in texts)
    return next((reason for reason in reasons if reason), None)


def filter_pair(
    pair: Row,
    language: Language,
    replaced: Counter[str],
    languages: Sequence[str] = ENGLISH,
    reader: CritiqueReader = ENGLISH_READER,
) -> Filtered:
    """Return a pair as its critique decides, and the reason to drop it or None.

    Args:
        pair: of the criterion.
        language: when a text is in no language of the criterion.
        replaced: counts the corrections that become the response (`critiques.follow_critique`).
        languages: of the criterion.
        reader: of its critiques.
    """
    if reason := pair_reason(pair, language, languages):
        return pair, reason
    return follow_critique(pair, replaced, reader)
