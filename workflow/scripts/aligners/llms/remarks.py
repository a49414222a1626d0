"""What LLMs say about their answers: introductions, offers, refusals and notes.

Each function reads one line or paragraph. A text that only resembles such a remark is none: "Here
is my dog. Is he fat?", "I can't sleep.", "Note: at altitude it takes longer.".
"""

import re

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
    r"|ideas|examples|prompts|parts|format)\b"
)
INTRODUCTION = re.compile(
    rf"\W*{AGREEMENT}\W*"
    rf"|\W*(?:{AGREEMENT}\W+)*here\s+(?:you\s+go|they\s+are|it\s+is)\W*"
    rf"|\W*(?:{AGREEMENT}\W+)*{OWN_WORDS}[^\n]*:\W*"
    rf"|\W*(?:{AGREEMENT}\W+)*{OWN_WORDS}[^\n?]*{WRITTEN}[^\n?]*",
    re.IGNORECASE,
)
# "I cannot sleep" is none, and neither is "I can't help laughing".
REFUSAL = re.compile(
    r"\W*(?:(?:i(?:['’]m| am) (?:\w+ )?(?:sorry|afraid)|sorry|apologies|my apologies"
    r"|i apologi[sz]e|unfortunately|as an ai\b[^,.]*)\b[^\w\n]*(?:but|that|for|,)?\s*)?"
    r"(?:i|we)(?: can(?:not|['’]t| not)| could(?:n['’]t| not)| won['’]t| will not"
    r"|(?: am| are|['’]m|['’]re) (?:unable|not able|not willing|not comfortable)(?: to)?"
    r"| do(?:n['’]t| not) feel comfortable| refuse to| (?:must|have to) decline(?: to)?)\b"
    r" ?(?:help|assist|write|provid|creat|generat|answer|fulfil|comply|think of|come up with|produc"
    r"|continu|respond|engage|suggest|offer|support|complete|do|discuss|participat)\w*"
    r"(?: (?:with|in|to|on|for|of|about|you|a|an|any|one|the|some|more))*"
    r"(?: (?:this|that|these|those|such|it|your request|one|requests?|questions?|topics?|content"
    r"|prompts?|tasks?|harmful|anything|lists?|instructions?|information|responses?|that|for)\b"
    r"|[.!]|$).*",
    re.IGNORECASE,
)
OFFER = re.compile(
    r"[\W_]*(?:(?:please )?let me know (?:if|whether|should) (?:you(?:['’]d| would)? (?:also )?"
    r"(?:like|need|want|have|prefer|wish)|there|this|that|these|any|i)\b"
    r"|(?:would you like|do you want) (?:me to\b|to (?:continue|see more)\b|anything else\b"
    r"|(?:any |some )?(?:more|another|other|further|additional)(?: \w+)?? (?:questions?|topics?"
    r"|examples?|ones?|help|information|details?|suggestions?|options|ideas|responses?|versions?"
    r"|variations?|inputs?)\b).*\?"
    r"|shall i (?:also )?(?:write|provide|continue|rephrase|rewrite|revise|adjust|add)\b.*\?"
    r"|(?:should|may|can) i (?:continue|proceed|go on)(?: (?:with (?:the|more)|to the next)\b.*)?"
    r"\?"
    r"|(?:please )?(?:feel free|don['’]t hesitate|do not hesitate) to (?:ask|reach|contact|let me"
    r"|share|provide|request)\b"
    r"|(?:i )?hope (?:this|that|these|those|it) (?:helps?|meets?|fits?|suits?|works? for|is what"
    r"|are what|(?:is|are) (?:helpful|useful|of help|better))\b"
    r"|(?:what|how) (?:else can i (?:help|assist)|(?:can|may) i (?:help|assist) you)\b.*\?"
    r"|(?:please )?(?:provide|send|share|give) (?:me )?(?:(?:the|your) next|another)"
    r" (?:input|question|one|prompt|line|topic|pair)\b"
    r"|do you have (?:any |another |more |other )+(?:questions?|inputs?)\b.*\?"
    r"|(?:i(?:['’]m| am) )?ready for (?:the )?(?:next|more)\b|anything else\b.*\?"
    r"|is there anything else(?:\?| (?:that )?(?:you|i can (?:help|assist|do for))\b)"
    r"|if you (?:need|have|want|would like|['’]d like)\b.*"
    r"\b(?:let me know|feel free|just (?:ask|say)|please ask)"
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
NAMED_PRINCIPLES = r"principles (?:applied|followed|violated|used)\b"
# What is said of a text that was edited; "the final answer is 4" is not.
ABOUT_THE_TEXT = re.compile(
    rf"\bi(?:['’]ve| have)? (?:\w+ly )?{CHANGED}\b[^.\n]*\b{PARTS_OF_A_TEXT}"
    rf"|\b{PARTS_OF_A_TEXT} (?:(?:was|were|has been|have been|is|are) )?(?:\w+ly )?"
    rf"(?:{CHANGED}\b|unchanged)"
    rf"|\b{CHANGED} (?:the|all|any|an?) (?:\w+ ){{0,3}}{PARTS_OF_A_TEXT}"
    r"|\b(?:the|this) response (?:was|is|had|contained|insult\w*|violat\w*|used|gave|claimed)\b"
    r"|\b(?:the|this|my) (?:correction|critique|rewrite"
    r"|(?:corrected|revised|rewritten|improved|edited) (?:response|answer|reply)"
    r"|(?:original|initial|first|new|updated|final|above) response)\b"
    r"|\b(?:the|this) (?:(?:corrected|revised|rewritten|improved|new) )?(?:response|version|text) "
    rf"{CHANGES}"
    r"|\b(?:follow|compl|align|meet|adher|respect|violat|in line|accord|honou?r|satisf|keep)\w*\b"
    r"[^.\n]*\bprinciples?\b(?! of\b)"
    rf"|^\W*{NAMED_PRINCIPLES}"
    r"|\b(?:no|without) (?:changes?|corrections?|edits?)\b"
    rf"|^\s*(?:[-*•]|\d+[.)])\s+{CHANGED} ",
    re.IGNORECASE | re.MULTILINE,
)
LABEL_OF_A_NOTE = (
    r"(?:please )?(?:note|notes|n\.?b\.?|explanation|reasons?|reasoning|rationale|justification"
    r"|remarks?|comments?|edit|disclaimer|p\.?s\.?|changes?)\b"
)
NOTE = re.compile(
    rf"[*_>#\s]*(?:{LABEL_OF_A_NOTE}|{NAMED_PRINCIPLES}|i(?:['’]ve| have)? (?:\w+ly )?{CHANGED}\b"
    r"|(?:the|this|my) (?:correct|revis|rewrit|response|version|text|improved|updated|new)\w*)",
    re.IGNORECASE,
)
END_MARK = re.compile(
    r"[\W_]*end of (?:the )?(?:pair|response|correction|output|example|completion)[\W_]*",
    re.IGNORECASE,
)
IN_BRACKETS = re.compile(r"\(.+\)|\[.+\]", re.DOTALL)
IN_ITALICS = re.compile(r"(\*|_)(?=[^\s*_]).+?(?<=[^\s*_])\1", re.DOTALL)


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
    text = text.strip()
    is_aside = IN_BRACKETS.fullmatch(text) or IN_ITALICS.fullmatch(text)
    is_about_the_text = ABOUT_THE_TEXT.search(text)
    return bool(END_MARK.fullmatch(text) or ((is_aside or NOTE.match(text)) and is_about_the_text))
