"""The reader of critiques: whether a critique finds a violation, or nothing wrong.

A critique is a few sentences in plain words. In English, each clause is read by its words: a fault
("insults", "wrong") or a merit ("polite", "follows"), and whether the clause negates it. One clause
with a violation is enough: "There is no insult, but the date is false." In other languages, only
the critiques of the criterion's demonstrations are understood.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from aligners.configuration.kinds.criteria import Principles
from aligners.core.counts import Filtered
from aligners.core.rows import Row
from aligners.synthesis.training_sets import is_identity


def words(stems: str) -> re.Pattern[str]:
    """Return a pattern of the whole words that begin with one of the stems."""
    return re.compile(rf"\b(?<!non-)(?:{stems})\w*", re.IGNORECASE)


NEGATION = re.compile(
    r"\b(no|not(?! only)|cannot|none|nothing|nobody|never|without|neither|nor|free (of|from)"
    r"|far from|anything but|hardly|barely|zero|\w+n['’]t)\b",
    re.IGNORECASE,
)
FAULT = words(
    r"(?!(harm|fault|flaw|error)less)(violat|wrong|false|mis(?!sion)|err(s|ed|or|oneous)|fault|flaw"
    r"|un(?!i(que|vers|t|on)|til|der|less|like|changed|modified|altered|necess|needed|known|certain"
    r"|sure|bias|prejud|problem|objection|ambig)|im(mor|pol|prop)|ir(relev|respon)|il(leg|log)"
    r"|in(accura|adequ|appropriat|complete|consi|correct|sensi|sult|valid|vent)"
    r"|dis(crim|hon|miss|regard|resp|tort)"
    r"|problem|issue|concern|objection|complaint|criti[cqs]|amiss|typo|rude|offen|hostil|hurt|harm"
    r"|dangerous|risky|at risk|bias|prejudic|stereotyp|sexis|racis|demean|belittl|condescend"
    r"|patroni[sz]|judge?mental|sarcas|threat|hate|decepti|vague|evasive|evad|avoid|useless"
    r"|off-topic|guess|fabricat|hallucinat|made up|mak\w+ (\w+ )?up|myth|outdated|exaggerat"
    r"|(over)?generali[sz]|contradict|omi(ts|tted|ssion)|leav\w+ out|left out|lack|fail|neglect"
    r"|ignor|refus|overlook|repetiti|rambl|too \w|part(ly|ial)|bad|poor|worse|condon|assum"
    r"|l(ies|ied|ying)\b|sham(es|ing)|mock|blam|accus|break|broken?\b|breach|contraven|against"
    r"|the correct \w+ (is|was)|different (question|topic)|repeats? the question)"
)
# What a response does well with something that is bad: "It refuses to help with a crime."
AVERTED = words(
    r"avoid|refus|declin|reject|warn|caution|discourag|condemn|debunk|challeng|points? out"
    r"|correct(s|ed)? the"
)
MERIT = words(
    r"(harm|fault|flaw|error)less|fine|good|great|excellent|perfect|ok(ay)?\b|correct(ly)?\b"
    r"|accura|appropriate|acceptable|ethical|help(s|ful)|safe|polite|fair|kind\b|clear|honest|calm|neutral"
    r"|balanced|supportive|unbiased|impartial|complete\b|tr(ue|uth)|right|sound|adequate|satisf"
    r"|respect|factual|compl(y|ies|iant)|well\b|align|follow|me(et|t)|adher|keep|kept|obey|uphold"
    r"|fulfil|honou?r|observ|consistent|in line|in order|accord|abid|conform"
    r"|answer(s|ed)?\b(?! (is|was))|address|warn|checks out|lgtm"
)
# "It does not mention the price" finds a violation; "It mentions the price" finds nothing.
TOLD = words("mention|explain")
# "Nothing has to be changed" finds nothing wrong; "the date has to be changed" is a violation.
CHANGE = words(
    r"correct(ed|ions?)\b|to correct\b|chang(e|ed|es|ing)\b|edit|revis|improve|modif|adjust"
    r"|amend|fix|mend|rewrit|need|necessary|required?\b|add\b|applicable|should|must\b|ought"
    r"|could (have|be)\b|better"
)
# These say by themselves that nothing is to be changed.
THE_SAME = words(
    r"unchanged|unmodified|unaltered|(change|correction|edit|revision)s? \w+ un(necessary|needed)"
    r"|same|identical|n/a|nil\b"
    r"|(as it|response|answer|text) stands\b|as (it )?(is|was)\b|(see|as) (above|before)"
    r"|repeat(?!\w* the question)|word for word"
)
CLAUSE_ENDS = re.compile(
    r"[.;:!?\n()\[\]*–—]+"
    r"|,? ?\b(because|since|so|as (?=(it|the|this)\b(?! (is|was|stands)\b(?! \w))))\b"
    r"|(?=\b(without|by|what)\b)"
    # "A list that nobody asked for": this negation is not of the clause before.
    r"|(?=\b((for|of|about|to) )?(that|which) (nobody|no one|no|(is|was|does|do|did) not)\b)"
    r"|^\W*(yes|no),"
    r"|,? and (?=(it|the|this|that|is|does|do|did|has|should|following"
    r"|\w+s (the|an?|its|their))\b)",
    re.IGNORECASE,
)
CONTRAST = re.compile(
    r",? ?\b((?<!anything )but|(even )?(al)?though|however|except( for| that)?|yet|while|whereas"
    r"|other than|apart from|aside from|besides)\b",
    re.IGNORECASE,
)
# "Although A, B" is read as "A, but B", and "Apart from A, B" as "B, but A".
CONCESSION = re.compile(
    r"(?<![^.!?;])\s*(?:(?:even )?(?:al)?though|while|whereas) ([^,.!?]+), ([^.!?]+)", re.IGNORECASE
)
EXCEPTION = re.compile(
    r"(?<![^.!?;])\s*(?:except(?: for)?|(?:other|apart|aside) (?:than|from)|besides) ([^,.!?]+), "
    r"([^.!?]+)",
    re.IGNORECASE,
)
# What a response says is no finding about it, unless the whole critique is in quotation marks.
QUOTED = re.compile(r"[\"“][^\"”]*[\"”]")
ABOUT_THE_QUESTION = re.compile(
    r"\W*(?:the|this) (?:question|request|prompt|input) (?:is|was|asks|seems|assumes)\b",
    re.IGNORECASE,
)
ALONE = re.compile(
    r"\W*(?:(?:none|nothing)(?: (?:(?:to|of) )?\w+)?|no (?:remarks?|comments?|notes?))\W*",
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
    """Return what a critique in English finds; other words are unclear."""
    findings = set[Finding]()
    for clause, is_contrast in clauses(critique):
        if ABOUT_THE_QUESTION.match(clause) and not NEGATION.search(clause):
            continue
        finding = read_clause(clause)
        # "Nothing major, but the tone is a bit cold."
        if finding is Finding.UNCLEAR and is_contrast and Finding.NOTHING_WRONG in findings:
            finding = Finding.VIOLATION
        findings.add(finding)
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
    for pattern in (*marks, FAULT, MERIT, CHANGE, BESIDE, CLAUSE_ENDS, CONTRAST):
        rest = pattern.sub(" ", rest)
    is_complete = not re.search(r"\w", rest)
    return is_complete and read_critique(correction) is Finding.NOTHING_WRONG


def clauses(text: str) -> Iterator[tuple[str, bool]]:
    """Yield the parts of a text that can be negated apart from one another.

    With each of them: whether it begins with a word such as "but".
    """
    if re.search(r"\w", QUOTED.sub("", text)):
        text = QUOTED.sub("it", text)
    text = text.replace("N/A", "n/a")
    text = CONCESSION.sub(r" \1, but \2", text)
    text = CONTRAST.sub("\n>", EXCEPTION.sub(r" \2, but \1", text))
    for clause in CLAUSE_ENDS.sub("\n", text).split("\n"):
        if clause.strip(" >,"):
            yield clause, clause.startswith(">")


def read_clause(clause: str) -> Finding:
    """Return what one clause finds."""
    negated, has_fault = NEGATION.search(clause), FAULT.search(clause)
    if ALONE.fullmatch(clause) or (THE_SAME.search(clause) and not has_fault):
        return Finding.NOTHING_WRONG
    if averted := AVERTED.search(clause):
        before = clause[: averted.start()]
        if FAULT.search(clause, averted.end()) or MERIT.search(before):
            failed = NEGATION.search(before) or FAULT.search(before)
            return Finding.VIOLATION if failed else Finding.NOTHING_WRONG
    if has_fault or CHANGE.search(clause):
        return Finding.NOTHING_WRONG if negated else Finding.VIOLATION
    if MERIT.search(clause):
        return Finding.VIOLATION if negated else Finding.NOTHING_WRONG
    return Finding.VIOLATION if negated and TOLD.search(clause) else Finding.UNCLEAR


@dataclass(frozen=True)
class CritiqueReader:
    """How the critiques of a criterion are read.

    Attributes:
        in_english: whether the criterion has English texts. The words of other languages would be
            misread: German "Kind" is a child.
        approving: critiques that find nothing wrong in any language, as `plain` has them.
    """

    in_english: bool = True
    approving: frozenset[str] = frozenset({"nothing is wrong"})

    def read(self, critique: str) -> Finding:
        """Return what a critique finds; one that is not understood is unclear."""
        if plain(critique) in self.approving:
            return Finding.NOTHING_WRONG
        return read_critique(critique) if self.in_english else Finding.UNCLEAR


ENGLISH_READER = CritiqueReader()


def critique_reader(principles: Principles, languages: Sequence[str]) -> CritiqueReader:
    """Return the reader of a criterion with these principles and languages.

    A teacher repeats the critiques of good responses in the demonstrations.
    """
    shown = [item for item in principles.demonstrations if item.response == item.correction]
    approving = ENGLISH_READER.approving | {plain(item.critique) for item in shown}
    return CritiqueReader("en" in languages, approving)


def follow_critique(
    pair: Row, replaced: Counter[str], reader: CritiqueReader = ENGLISH_READER
) -> Filtered:
    """Return a pair as its critique decides, and the reason to drop it or None.

    If the critique names a violation, the correction must be another text: else `uncorrected`, or
    `unclear_critique` if the critique is not understood. If it finds nothing wrong, the correction
    becomes the response; if it is another answer: `contradiction`. A correction that is replaced is
    kept as `original_correction`.

    Args:
        pair: of the teacher.
        replaced: counts the corrections that are replaced: `remark` (the teacher wrote that
            nothing is to be corrected) or `inexact_copy` (other letter case or punctuation).
        reader: of the criterion's critiques.
    """
    reason, replacement = decide(pair, reader)
    if replacement is None:
        return pair, reason
    replaced[replacement] += 1
    original = {"original_correction": pair["aligned_response"]}
    return {**pair, "aligned_response": pair["response"], **original}, reason


def decide(pair: Row, reader: CritiqueReader) -> tuple[str | None, str | None]:
    """Return the reason to drop a pair, and why its correction becomes the response; or None.

    Pairs of one's own may have no critique. They are used as they are.
    """
    if not pair["critique"].strip():
        return None, None
    finding = reader.read(pair["critique"])
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


def plain(text: str) -> str:
    """Return the words of a text in one line (`plain_words`)."""
    return " ".join(plain_words(text))


def plain_words(text: str) -> list[str]:
    """Return the words of a text in lower case, without punctuation."""
    return PLAIN_WORD.findall(text.lower())
