"""Filters of questions and pairs: each returns the reason to drop a row, or None.

The patterns match whole words, tags and constructs, not substrings. So texts with "code of
conduct", "10 < 20", curly quotes or "nothing is wrong with that" are kept.
"""

import re

from aligners.configuration.kinds.synthesis import Language
from aligners.core.rows import Row
from aligners.synthesis.language import is_english

EMPTY = re.compile(
    r"[\W_]*(none|n/?a|null|nan|nothing|no (answer|response)|empty|blank)?[\W_]*", re.IGNORECASE
)
LEAKED_PROMPT = re.compile(
    r"\b(Input|Response|Critique|Correction|Question type|Topics?|Principles?)\s*:"
    r"|\b(the|these|those) principles (above|below|say|given|listed)"
    r"|\b(above|given|listed) principles\b"
)
TAGS = (
    "a|abbr|article|b|blockquote|body|br|button|center|code|div|em|font|footer|form|h[1-6]|head"
    "|header|hr|html|i|iframe|img|input|li|link|main|meta|nav|ol|option|p|pre|s|script|section"
    "|select|small|span|strong|style|sub|sup|table|tbody|td|th|thead|title|tr|u|ul|video"
)
MARKUP = re.compile(
    rf"</?({TAGS})(\s+[\w-]+\s*=[^<>]*)?\s*/?>|&(nbsp|amp|lt|gt|quot);", re.IGNORECASE
)
CODE = re.compile(
    r"```"
    r"|^\s*(def|class) \w+\s*[(:].*:?\s*$"
    r"|\bdef \w+\([^)]*\)\s*:"
    r"|^\s*(import \w+(\.\w+)*( as \w+)?|from [\w.]+ import \w+.*)\s*(;|$)"
    r"|#include\s*<"
    r"|\b(public|private|protected) (static )?\w+ \w+\s*\("
    r"|\bfunction\s*\w*\s*\([^)]*\)\s*\{"
    r"|\b(print|printf|console\.log|System\.out\.println)\s*\("
    r"|\b(for|while|if)\s*\([^)]*[;=<>][^)]*\)\s*\{?"
    r"|\b(var|let|const) \w+\s*="
    r"|\b\w+ = \w+\.\w+\("
    r"|\bSELECT\b.+\bFROM\b"
    r"|[{;]\s*$[\s\S]*^\s*\}",
    re.MULTILINE,
)
THE_ANSWER = r"(the|this|that|my|your) (response|answer|correction|text)"
NO_CONTENT = re.compile(
    r"(no|without any) (further )?(correction|change|edit|revision|improvement)s?"
    r"( (is|are|was|were))?( (needed|necessary|required|made))?"
    rf"|{THE_ANSWER} (is|was|looks|seems) (already )?"
    r"(fine|good|great|correct|ok|okay|perfect|appropriate|acceptable|ethical|helpful|accurate)"
    r"( as it is| already)?"
    r"|nothing (is|was) wrong( here)?"
    r"|nothing (needs to|has to|to) (be )?(changed?|corrected?|fix(ed)?)( here)?"
    r"|(it is |this is )?(the )?same as (above|before|the (original )?(response|answer))"
    r"|see above|as above|unchanged|not applicable",
    re.IGNORECASE,
)


def text_reason(text: str, language: Language) -> str | None:
    """Return the reason why a text is not plain English, or None.

    `language` has `minimum_words` and `minimum_ratio`, the arguments of `is_english`.
    """
    if LEAKED_PROMPT.search(text):
        return "leaked_prompt"
    if CODE.search(text):
        return "code"
    if MARKUP.search(text):
        return "markup"
    if not is_english(text, language.minimum_words, language.minimum_ratio):
        return "language"
    return None


def pair_reason(row: Row, language: Language) -> str | None:
    """Return the reason why a pair cannot be used for training, or None.

    The reasons are empty, no_content, leaked_prompt, code, markup and language.
    """
    texts = [row["response"], row["aligned_response"]]
    if any(EMPTY.fullmatch(text) for text in texts):
        return "empty"
    if NO_CONTENT.fullmatch(row["aligned_response"].strip(" .!\n\"'")):
        return "no_content"
    for text in [row["question"], *texts]:
        if reason := text_reason(text, language):
            return reason
    return None
