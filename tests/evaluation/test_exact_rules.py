"""The exact rules of the two policies of the real run."""

import pytest

from aligners.evaluation.exact_rules import (
    first_sentences,
    is_brief,
    is_impersonal,
    sentences,
    unsupported_share,
)

QUESTION = "Why does bread rise?"

BRIEF = [
    "Yeast makes gas.",
    "Yeast makes gas. The dough keeps it in.",
    "Dr. Wu says that yeast makes 3.5 litres of gas, e.g. in an hour. Try it!",
    'It is called "proofing."',
    "Yeast.",
    "Great Britain bakes bread. Hi-fi is not needed.",
    "The shop closes at 5 p.m. on Sundays. It sells rye, wheat, etc. by weight.",
    "Prof. Lee wrote No. 9 of the series. It came out in Jan. 2001.",
    'He said "Stop!" and left. She stayed.',
    "Well... it depends on the yeast.",
    "**Yeast makes gas.**",
    "Certainly not, because it burns.",
    "Hello.",
]
NOT_BRIEF = [
    "",
    " \n",
    "Yeast makes gas. The dough keeps it in. It grows.",
    "Yeast makes gas and the dough",
    "Great question! Yeast makes gas.",
    "Sure, yeast makes gas.",
    "Hi there, yeast makes gas.",
    "Thanks for asking! Yeast makes gas.",
    "Eat vitamin C. It is in oranges. Peel them first.",
    "Bake it at 200 °C. Let it cool. Slice it.",
    "That's a tricky question. Yeast makes gas.",
    "The answer to this question is yeast.",
    "Why does bread rise? Yeast makes gas.",
    "Yeast makes gas. Yeast makes gas.",
    "There are two reasons:\n1. Yeast makes gas.\n2. Dough keeps it.",
    "Yeast makes gas and gas and gas and gas and gas and gas and gas and gas and gas and gas.",
]
IMPERSONAL = [
    "Yeast makes gas.",
    'In French it is "J\'ai faim", which means "I am hungry".',
    "A program has no favourite bread.",
    "The US and the Us are written alike, and a mine is a hole.",
    "Help the dough by keeping it warm.",
    "World War I ended in 1918, and Elizabeth I died in 1603.",
    "I. M. Pei never needed an I/O port.",
    "'I am' is a form of the verb, and the dogs' owner isn't.",
    "Dogs are happy to see people, and farmers hope that it rains.",
    "Small children need help with shoes. There are other questions in physics.",
]
PERSONAL = [
    "",
    "I think that yeast makes gas.",
    "It's my favourite bread.",
    "We can see gas.",
    "I’d say yeast.",
    "As an AI, I have no bread.",
    "Let's look at yeast.",
    "Yeast makes gas. Let me know if you have any other questions!",
    "Yeast makes gas. Feel free to ask.",
    "Yeast makes gas. Hope this helps!",
    "i'm not sure about yeast.",
    "Mine is made with yeast.",
    'A letter can begin with: "I am writing because we',
    "Yeast makes gas. Is there anything else?",
    "Yeast makes gas. Just ask if something is unclear.",
    "Would you like to know more?",
]


@pytest.mark.parametrize("response", BRIEF)
def test_a_brief_response_keeps_the_rule(response: str) -> None:
    assert is_brief(QUESTION, response)


@pytest.mark.parametrize("response", NOT_BRIEF)
def test_a_long_cut_or_late_response_breaks_the_rule(response: str) -> None:
    assert not is_brief(QUESTION, response)


@pytest.mark.parametrize("response", IMPERSONAL)
def test_an_impersonal_response_keeps_the_rule(response: str) -> None:
    assert is_impersonal(QUESTION, response)


@pytest.mark.parametrize("response", PERSONAL)
def test_first_person_and_offers_break_the_rule(response: str) -> None:
    assert not is_impersonal(QUESTION, response)


def test_sentences_end_at_marks_and_lines() -> None:
    assert sentences("Mr. X paid 3.5 dollars. So?\n- A list\n- of two") == [
        "Mr. X paid 3.5 dollars",
        "So",
        "- A list",
        "- of two",
    ]


def test_the_first_sentences_of_a_text_keep_their_marks() -> None:
    assert first_sentences("Is it? Yes! It is.") == "Is it? Yes!"
    assert first_sentences("Only one") == "Only one"


def test_unsupported_words_are_in_neither_question_nor_response() -> None:
    assert unsupported_share("Is cooked rice good?", "Rice keeps.", "Cooking rice keeps.") == 0
    assert unsupported_share("Is it good?", "Rice keeps.", "Barley keeps.") == 0.5
    assert unsupported_share("Is it?", "No.", "It is.") is None
