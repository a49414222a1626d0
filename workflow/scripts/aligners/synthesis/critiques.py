"""The reader of critiques: whether a critique finds a violation, or nothing wrong.

A critique is a few sentences in plain words. Each clause is read by its words: a fault ("insults",
"wrong") or a merit ("polite", "follows"), and whether the clause negates it. One clause with a
violation is enough: "There is no insult, but the date is false."
"""

import re
from collections import Counter
from enum import Enum

from aligners.core.counts import Filtered
from aligners.core.rows import Row
from aligners.synthesis.training_sets import is_identity


def words(stems: str) -> re.Pattern[str]:
    """Return a pattern of the whole words that begin with one of the stems."""
    return re.compile(rf"\b(?:{stems})\w*", re.IGNORECASE)


NEGATION = re.compile(
    r"\b(no|not|cannot|none|nothing|nobody|never|without|neither|nor|free (of|from)|zero"
    r"|\w+n['’]t)\b",
    re.IGNORECASE,
)
FAULT = words(
    r"(?!(harm|fault|flaw|error)less)(violat|wrong|incorrect|inaccura|false|untru|mistak"
    r"|err(s|ed|or|oneous)|fault|flaw|problem|issue|concern|objection|complaint|criti[cqs]|amiss"
    r"|insult|rude|impolite|disrespect|offen|hostil|hurt|harm|danger|risk|unsafe|illegal|unlawful|unethical|immoral|unfair|bias|prejudic"
    r"|stereotyp|discriminat|sexis|racis|demean|threat|hate|mislead|decepti|vague|evasive|evad"
    r"|avoid|unhelpful|useless|irrelevant|off-topic|incomplete|inappropriate|unclear|guess|fabricat"
    r"|invent|hallucinat|made up|mak\w+ (\w+ )?up|contradict|omi(ts|tted|ssion)|leav\w+ out"
    r"|left out|miss(es|ed|ing)\b|lack|fail|neglect|ignor|refus|overlook|repetiti|rambl|too \w"
    r"|bad|poor|worse|encourag|promot|condon|assum|l(ies|ied|ying)\b|sham(es|ing)|mock|blam"
    r"|accus|break|broken?\b|breach|contraven|against|dismissive|the correct \w+ (is|was)"
    r"|different (question|topic)|repeats? the question)"
)
MERIT = words(
    r"(harm|fault|flaw|error)less|fine|good|great|excellent|perfect|ok(ay)?\b|correct(ly)?\b"
    r"|accura|appropriate|acceptable|ethical|help(s|ful)|safe|polite|fair|kind\b|clear"
    r"|complete\b|tr(ue|uth)|right|sound|adequate|satisf|respect|factual|compl(y|ies|iant)|well\b"
    r"|align|follow|me(et|t)|adher|keep|kept|obey|uphold|fulfil|honou?r|observ|consistent|in line"
    r"|in order|accord|abid|conform|answer(s|ed)?\b(?! (is|was))|mention|explain|address|lgtm"
)
# "Nothing has to be changed" finds nothing wrong; "the date has to be changed" is a violation.
CHANGE = words(
    r"correct(ed|ions?)\b|to correct\b|chang(e|ed|es|ing)\b|edit|revis|improve|modif|adjust"
    r"|amend|fix|mend|rewrit|need|necessary|required?\b|add\b|applicable|should|must\b|ought"
    r"|could (have|be)\b"
)
# These say by themselves that nothing is to be changed.
THE_SAME = words(
    r"unchanged|unmodified|unaltered|unnecessary|unneeded|same|identical|n/a|nil\b"
    r"|(as it|response|answer|text) stands\b|as (it )?(is|was)\b|(see|as) (above|before)"
    r"|repeat(?!\w* the question)|word for word"
)
CLAUSE_ENDS = re.compile(
    r"[.;:!?\n()\[\]*–—]+"
    r"|,? ?\b(but|although|though|however|except|yet|while|whereas|because|since|so)\b"
    r"|^\W*(yes|no),"
    r"|,? and (?=(it|the|this|that|is|does|do|did|has|should|following)\b)",
    re.IGNORECASE,
)
# The other words of a remark, and those without which it is an answer, such as "That is right."
BESIDE = words(
    r"(an?|the|this|that|it|its|is|are|was|were|be|been|has|have|had|to|in|of|for|with|as|here"
    r"|there|i|my|all|any|every|both|quite|very|just|further|more|made|found|seen|or|and|above|by"
    r"|does|do|can|leave|stays?|remains?|given)\b"
)
OF_A_REMARK = words(r"(response|answer|text|original|principles?|already)\b")


PLAIN_WORD = re.compile(r"\w+(?:[.,'’-]\w+)*")


class Finding(Enum):
    """What a critique finds in a response."""

    NOTHING_WRONG = "nothing_wrong"
    VIOLATION = "violation"
    UNCLEAR = "unclear"


def read_critique(critique: str) -> Finding:
    """Return what a critique in English finds; other words and languages are unclear."""
    findings = {read_clause(clause) for clause in clauses(critique)}
    for finding in (Finding.VIOLATION, Finding.NOTHING_WRONG):
        if finding in findings:
            return finding
    return Finding.UNCLEAR


def is_remark(correction: str) -> bool:
    """Return whether a text in place of a correction only says that nothing is to be corrected."""
    marks = (NEGATION, THE_SAME, OF_A_REMARK)
    if not any(mark.search(correction) for mark in marks):
        return False
    rest = correction
    for pattern in (*marks, FAULT, MERIT, CHANGE, BESIDE, CLAUSE_ENDS):
        rest = pattern.sub(" ", rest)
    is_complete = not re.search(r"\w", rest)
    return is_complete and read_critique(correction) is Finding.NOTHING_WRONG


def clauses(text: str) -> list[str]:
    """Return the parts of a text that can be negated apart from one another."""
    ends = CLAUSE_ENDS.sub("\n", text.replace("N/A", "n/a"))
    return [clause for clause in ends.split("\n") if clause.strip()]


def read_clause(clause: str) -> Finding:
    """Return what one clause finds."""
    if THE_SAME.search(clause):
        return Finding.NOTHING_WRONG
    negated = bool(NEGATION.search(clause))
    if FAULT.search(clause) or CHANGE.search(clause):
        return Finding.NOTHING_WRONG if negated else Finding.VIOLATION
    if MERIT.search(clause):
        return Finding.VIOLATION if negated else Finding.NOTHING_WRONG
    alone = re.fullmatch(r"\W*(none|nothing)\W*", clause, re.IGNORECASE)
    return Finding.NOTHING_WRONG if alone else Finding.UNCLEAR


def follow_critique(pair: Row, replaced: Counter[str]) -> Filtered:
    """Return a pair as its critique decides, and the reason to drop it or None.

    If the critique names a violation, the correction must be another text: else `uncorrected`, or
    `unclear_critique` if the critique is not understood. If it finds nothing wrong, the correction
    becomes the response; if it is another answer: `contradiction`. A correction that is replaced is
    kept as `original_correction`.

    Args:
        pair: of the teacher.
        replaced: counts the corrections that are replaced: `remark` (the teacher wrote that
            nothing is to be corrected) or `inexact_copy` (other letter case or punctuation).
    """
    reason, replacement = decide(pair)
    if replacement is None:
        return pair, reason
    replaced[replacement] += 1
    original = {"original_correction": pair["aligned_response"]}
    return {**pair, "aligned_response": pair["response"], **original}, reason


def decide(pair: Row) -> tuple[str | None, str | None]:
    """Return the reason to drop a pair, and why its correction becomes the response; or None."""
    finding = read_critique(pair["critique"])
    same, remark = is_identity(pair), is_remark(pair["aligned_response"])
    if finding is not Finding.NOTHING_WRONG:
        reason = "uncorrected" if finding is Finding.VIOLATION else "unclear_critique"
        return (reason if same or remark else None), None
    if same:
        return None, None
    if remark:
        return None, "remark"
    response, correction = plain_words(pair["response"]), plain_words(pair["aligned_response"])
    return (None, "inexact_copy") if response == correction else ("contradiction", None)


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return PLAIN_WORD.findall(text.lower())
