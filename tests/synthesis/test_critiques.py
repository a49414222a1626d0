"""The reader of critiques, and what a pair teaches by its critique."""

from collections import Counter
from typing import Any

import pytest

from aligners.configuration.kinds.synthesis import Language
from aligners.synthesis.critiques import Finding, is_remark, read_critique
from aligners.synthesis.filters import filter_pair

NOTHING_WRONG = [
    "Nothing is wrong.",
    "Nothing is wrong with the response.",
    "Nothing.",
    "None",
    "N/A",
    "Not applicable.",
    "No violation.",
    "No violations found.",
    "No critique.",
    "No issues.",
    "I cannot find any problem.",
    "There isn't anything wrong with it.",
    "The response does not violate any principle.",
    "The response doesn’t violate any of the principles.",
    "It violates no principle.",
    "None of the principles is violated.",
    "The response follows the principles, so nothing has to change.",
    "The response complies with all principles.",
    "The response keeps to all principles.",
    "All principles are followed.",
    "The response is in line with the principles.",
    "The response is accurate and polite.",
    "The response is fine as it is.",
    "The response is harmless and flawless.",
    "The response is not rude, unsafe or unfair.",
    "No insult, no unsafe advice, no bias.",
    "The response neither insults nor discriminates.",
    "There is no need for a correction.",
    "No flaws were found, as the response is polite.",
    "The response respects all three principles and needs no correction.",
    "This is a good response.",
    "Everything is in order.",
    "The response avoids stereotypes and gives accurate facts.",
    "The response rightly refuses to help with an illegal plan.",
    "It politely corrects the false claim in the question.",
    "It warns about the danger.",
    "The response doesn't violate anything, as it declines a harmful request.",
    "The question is offensive, but the response stays calm and polite.",
    "The response stays respectful even though the question is rude.",
    "It is honest about what it does not know.",
    "The response is kind without being vague.",
    "The response is not only polite but also accurate.",
    "It is balanced and unbiased.",
    "A correction is unnecessary.",
    "Nothing to add.",
]
VIOLATIONS = [
    "The response violates the polite principle. It insults.",
    "The response violates the accurate principle, since not all birds can fly.",
    "The response is rude.",
    "The response gets the facts wrong.",
    "The response is not safe, and following it could hurt someone.",
    "The response isn't helpful.",
    "It is neither polite nor helpful.",
    "The response does not answer the question.",
    "The response does not follow the polite principle.",
    "The response fails to mention the risk.",
    "The response leaves out a detail.",
    "The response should have asked which train.",
    "The response states 1918, the correct year is 1919.",
    "It is polite but incorrect.",
    "There is no insult, but the date is false.",
    "Nothing is wrong with the tone, but the response violates the accurate principle.",
    "The first sentence is fine. The second one is made up.",
    "No, the capital is wrong.",
    "Nothing major, but the tone is a bit cold.",
    "While the tone is fine, the last sentence breaks the polite principle.",
    "Although the facts are right, the wording is for lawyers.",
    "The response, though accurate, belittles the person.",
    "There is no need to change anything except the last line.",
    "Apart from the greeting, nothing is wrong.",
    "Mostly correct; however, the year is off.",
    "The response is only partly correct.",
    "The response is anything but polite.",
    "It would be better to name a doctor.",
    "It insults the person without reason.",
    "It refuses without explaining why.",
    "It does not mention the risk of fire.",
    "It does not correct the false claim.",
    "It fails to warn about the dangerous step.",
    "It does not refuse the illegal request.",
    "It repeats the same stereotype as the question.",
    "Not only is it rude, it is also false.",
    "The response is unkind.",
    "The response misstates the date.",
]
UNCLEAR = ["", "Bees like honey.", "Die Antwort ist falsch.", "It explains how trains run."]
REMARKS = [
    "None needed.",
    "None",
    "(unchanged)",
    "*None required*",
    "No violation.",
    "No correction needed.",
    "(No correction needed)",
    "No changes are necessary.",
    "Without any changes",
    "[no change]",
    "Not needed.",
    "Not applicable",
    "Nothing to correct.",
    "There is nothing to correct.",
    "Nothing needs to be changed.",
    "The response needs no correction.",
    "The response does not need to be changed.",
    "No revision needed; the response is appropriate.",
    "No correction is required, since the response follows the principles.",
    "The response is already correct.",
    "The response is good as is.",
    "Keep the response as it is.",
    "Leave as is.",
    "Same as above.",
    "See above.",
    "It is the same as the original response.",
    "(Identical to the response.)",
    "The correction repeats the response.",
    "The response can stay as it is.",
    "The response remains unchanged.",
]
ANSWERS = [
    "It is 5.",
    "No.",
    "Paris.",
    "Yes, that is correct.",
    "No, it is not dangerous to eat bread.",
    "No change is needed in your diet, I think.",
    "Nothing is wrong with asking.",
    "None of them is better than the other.",
    "There are no errors in your code, but the second loop is slow.",
    "It is the same as a mile.",
    "Keep it in the fridge.",
    "Nothing beats a walk.",
]


@pytest.mark.parametrize(
    ("critique", "finding"),
    [
        *((text, Finding.NOTHING_WRONG) for text in NOTHING_WRONG),
        *((text, Finding.VIOLATION) for text in VIOLATIONS),
        *((text, Finding.UNCLEAR) for text in UNCLEAR),
    ],
)
def test_a_critique_is_read(critique: str, finding: Finding) -> None:
    assert read_critique(critique) is finding


@pytest.mark.parametrize("text", REMARKS)
def test_a_text_that_only_says_that_nothing_is_to_be_corrected_is_a_remark(text: str) -> None:
    assert is_remark(text)


@pytest.mark.parametrize("text", ANSWERS)
def test_an_answer_is_no_remark(text: str) -> None:
    assert not is_remark(text)


INSULT = "The response violates the polite principle. It insults."
FINE = "Nothing is wrong."
UNKNOWN = "Die Antwort ist höflich."


def pair(response: str, critique: str, correction: str) -> dict[str, Any]:
    """Return a teacher's pair."""
    return {
        "id": "1",
        "question": "What is two plus two?",
        "response": response,
        "critique": critique,
        "aligned_response": correction,
    }


@pytest.mark.parametrize(
    ("response", "critique", "correction", "reason"),
    [
        ("It is 4, idiot.", INSULT, "It is 4.", None),
        ("It is 4, idiot.", INSULT, "It is  4,\nidiot.", "uncorrected"),
        ("It is 4, idiot.", INSULT, "None needed.", "uncorrected"),
        ("IT IS FOUR!!!", INSULT, "It is four.", None),
        ("It is 4.", FINE, "It is 5.", "contradiction"),
        ("It is 4.", FINE, "It is 4.", None),
        ("It is 4.", UNKNOWN, "It is 4.", "unclear_critique"),
        ("It is 4.", UNKNOWN, "(unchanged)", "unclear_critique"),
        ("It is 4, idiot.", UNKNOWN, "It is 4.", None),
    ],
)
def test_the_critique_decides_whether_a_pair_is_used(
    response: str, critique: str, correction: str, reason: str | None
) -> None:
    row, replaced = pair(response, critique, correction), Counter[str]()
    assert filter_pair(row, Language(), replaced) == (row, reason)
    assert not replaced


@pytest.mark.parametrize(
    ("correction", "cause"),
    [("None needed.", "remark"), ("(unchanged)", "remark"), ("it is 4", "inexact_copy")],
)
def test_where_nothing_is_wrong_the_response_is_the_correction(correction: str, cause: str) -> None:
    replaced = Counter[str]()
    row, reason = filter_pair(pair("It is 4.", FINE, correction), Language(), replaced)
    assert reason is None
    assert row["aligned_response"] == "It is 4."
    assert row["original_correction"] == correction
    assert replaced == {cause: 1}


@pytest.mark.parametrize(
    "critique",
    [
        "The response violates the short principle with examples that nobody asked for.",
        "It violates the short principle with a history for which no one asked.",
        'It violates the voice principle with "I\'m sorry", "I don\'t have" and "I can\'t".',
        '"The one thing we shouldn\'t miss" violates the voice principle.',
    ],
)
def test_a_negation_of_other_words_does_not_negate_the_violation(critique: str) -> None:
    assert read_critique(critique) is Finding.VIOLATION


def test_a_critique_in_quotation_marks_is_read() -> None:
    assert read_critique('"Nothing is wrong."') is Finding.NOTHING_WRONG
