"""Filters of questions and pairs: each returns the reason to drop a row, or None.

The patterns match whole words, tags and constructs, not substrings. So texts with "code of
conduct", "10 < 20", curly quotes or "nothing is wrong with that" are kept.
"""

import re
from collections import Counter

from aligners.configuration.kinds.synthesis import Language
from aligners.core.counts import Filtered
from aligners.core.rows import Row
from aligners.synthesis.critiques import follow_critique, is_remark
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

    The reasons are empty, leaked_prompt, code, markup and language.
    """
    response, correction = texts = [row["response"], row["aligned_response"]]
    if EMPTY.fullmatch(response):
        return "empty"
    # "None." in place of a correction can be a remark, on which the critique decides.
    if EMPTY.fullmatch(correction) and not is_remark(correction):
        return "empty"
    for text in [row["question"], *texts]:
        if reason := text_reason(text, language):
            return reason
    return None


def filter_pair(pair: Row, language: Language, replaced: Counter[str]) -> Filtered:
    """Return a pair as its critique decides, and the reason to drop it or None.

    `replaced` counts the corrections that become the response (`critiques.follow_critique`).
    """
    if reason := pair_reason(pair, language):
        return pair, reason
    return follow_critique(pair, replaced)
