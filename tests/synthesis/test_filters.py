"""Filters: bad texts that they must drop, and good texts that resemble bad ones."""

from pathlib import Path
from typing import Any

import filter_pairs
import pytest

from aligners.configuration.kinds.synthesis import Language
from aligners.core.errors import UserError
from aligners.core.rows import read_json, read_rows, row_id, write_rows
from aligners.synthesis.filters import pair_reason, text_reason

LANGUAGE = Language()

GOOD = [
    # Typography and names
    "The club’s rule is “first come, first served” – always…",
    "It’s a “test”, isn’t it?",
    "Café crème and jalapeños are tasty, aren’t they?",
    "São Paulo and Zürich are lovely cities to visit.",
    "Gabriel García Márquez wrote that novel in Mexico City.",
    "How do you say “Ich liebe dich” in English?",
    "你好 means hello, my neighbour says.",
    "I am happy for you 🙂🎉",
    "St. Louis",
    "St. Louis is in Missouri, e.g. near Illinois.",
    "Leonardo da Vinci",
    "Schadenfreude",
    # Words of programming
    "Our code of conduct forbids it.",
    "What is a security code?",
    "What is the dress code at a master's program?",
    "How do I formulate a complaint?",
    "There is no secret formula for it.",
    "How do I import a car from Japan?",
    "import duties are high",
    "Select a seat from the list.",
    "Please return the book; it is due.",
    "The function of the heart (in short) is to pump.",
    "Print (or write) your name in capitals.",
    "for (almost) all people",
    "If (and only if) it rains, we stay.",
    "What is a class action?",
    "class: mammals",
    "The set {1, 2, 3} has three elements.",
    "Let x be the price; then y = 2x is double.",
    "C++ is a programming language.",
    # Characters of markup
    "10 < 20",
    "10<20",
    "Is 10<20 and 20>10?",
    "If a<b and b>c, what follows for a and c?",
    "We <3 this town and its people.",
    "Write to me at <anna@example.com> if you like.",
    "Press <Enter> to go on.",
    "Is it AT&T or R&B that you mean?",
    # Words of the prompt
    "What is the best response to a rude email?",
    "Input costs rose, said the response of the union.",
    "Correction tape is sold in most shops.",
    "My question: is it fair?",
    "She said in response: not on this topic: the input: mine.",
    "What are the principles of good design?",
    "The following principles guide a nurse: honesty and care.",
    "The principles of above-ground pools are simple.",
    # Words of empty answers
    "Nothing is wrong with asking.",
    "Nothing needs to be changed in the law, many say.",
    "None of them is better than the other.",
    "No change is needed in your diet, I think.",
    "The response was fine, said the judge.",
    # Short answers
    "Canberra",
    "Yes.",
    "No.",
    "Yes, at 4 pm.",
    "42",
    "3.14",
    "$5",
    "H₂O",
]

BAD = {
    "leaked_prompt": [
        "Response: Take a walk.",
        "Take a walk.\nCritique: Nothing is wrong.",
        "Take a walk. Correction: Take two.",
        "Take a walk.\n\nInput: What now?",
        "Question type: advice",
        "Topic: Old age",
        "As the principles above say, take a walk.",
        "By the above principles, you should take a walk.",
    ],
    "markup": [
        "<p>Take a walk.</p>",
        "Take a walk.<br/>Then rest.",
        "<b>Walk</b>",
        '<a href="http://example.com">Walk</a>',
        '<div class="answer">Walk</div>',
        "Mac &amp; cheese",
        "&quot;Walk&quot;, she said.",
    ],
    "code": [
        "```python\nwalk()\n```",
        "def walk(steps):\n    return steps",
        "Use import numpy as np:\nimport numpy as np",
        "from math import sqrt\nthen take the root",
        "#include <stdio.h>",
        "public static void main(String[] args)",
        "function walk(steps) { return steps }",
        'console.log("walk")',
        "print('walk')",
        "for (i = 0; i < 10; i++) walk",
        "while (x < 3) {",
        "const steps = 3",
        "It was Bell. import json; data = json.loads(text)",
        "SELECT name FROM users",
        "int main() {\n  walk();\n}",
    ],
    "language": [
        "Wie kann ich meinem Chef sagen, dass ich mehr Geld brauche?",
        "Comment puis-je apprendre à cuisiner sans dépenser trop d’argent ?",
        "¿Cuál es la mejor manera de aprender un idioma nuevo?",
        "Qual è il modo migliore per imparare una nuova lingua?",
        "Qual é a melhor maneira de aprender uma língua nova?",
        "Wat is de beste manier om een nieuwe taal te leren?",
        "Jaki jest najlepszy sposób na naukę nowego języka?",
        "Yeni bir dil öğrenmenin en iyi yolu nedir?",
        "Как мне лучше всего выучить новый язык?",
        "学习一门新语言的最好方法是什么？",
        "新しい言語を学ぶ最良の方法は何ですか。",
        "ما هي أفضل طريقة لتعلم لغة جديدة؟",
        "Нет.",
        "我不知道。",
    ],
}
BAD_CORRECTIONS = {
    "empty": [
        "", " \n", "null", "NaN", "blank", "- No answer -", "…",
        "[Insert the corrected response here]", "<corrected response>", "{your answer}",
    ],
}  # fmt: skip


def pair(**changes: str) -> dict[str, Any]:
    """Return a good pair in which some fields have other values."""
    row = {
        "question": "What shall I do on Sunday?",
        "response": "Stay in bed.",
        "aligned_response": "Take a walk in the park.",
        **changes,
    }
    return {"id": row_id(*row.values()), "criterion": "helpful", "critique": "Too vague.", **row}


@pytest.mark.parametrize("text", GOOD)
def test_good_texts_are_kept(text: str) -> None:
    assert text_reason(text, LANGUAGE) is None
    for field in ("question", "response", "aligned_response"):
        assert pair_reason(pair(**{field: text}), LANGUAGE) is None, field


@pytest.mark.parametrize(
    ("reason", "text"), [(reason, text) for reason, texts in BAD.items() for text in texts]
)
def test_bad_texts_are_dropped_with_their_reason(reason: str, text: str) -> None:
    assert text_reason(text, LANGUAGE) == reason
    for field in ("question", "response", "aligned_response"):
        assert pair_reason(pair(**{field: text}), LANGUAGE) == reason, field


@pytest.mark.parametrize(
    ("reason", "text"),
    [(reason, text) for reason, texts in BAD_CORRECTIONS.items() for text in texts],
)
def test_corrections_without_content_are_dropped(reason: str, text: str) -> None:
    assert pair_reason(pair(aligned_response=text), LANGUAGE) == reason


def test_an_empty_response_is_dropped() -> None:
    assert pair_reason(pair(response="None."), LANGUAGE) == "empty"


def test_the_critique_is_not_filtered() -> None:
    row = {**pair(), "critique": "Nothing is wrong. Correction: <b>none</b>"}
    assert pair_reason(row, LANGUAGE) is None


def test_the_language_of_a_short_ascii_text_is_not_checked() -> None:
    text = "La respuesta es Canberra"
    assert text_reason(text, LANGUAGE) is None
    assert text_reason(text, Language(minimum_words=1)) == "language"


def test_a_minimum_ratio_of_zero_keeps_every_language() -> None:
    assert text_reason(BAD["language"][0], Language(minimum_ratio=0.0)) is None


def test_the_program_counts_every_pair_as_kept_or_dropped(
    in_the_project: None, tmp_path: Path
) -> None:
    corrections = ["", *(texts[0] for texts in BAD.values()), *GOOD[:3], "Same as above."]
    pairs = [pair(aligned_response=text) for text in corrections]
    outside = pair(question="Which question is on no side?")
    write_rows(tmp_path / "pairs.jsonl", [*pairs, outside])
    write_rows(tmp_path / "split.jsonl", [{"id": row["id"], "split": "test"} for row in pairs])
    dropped = [{"id": outside["id"], "reason": "near_several_splits"}]
    write_rows(tmp_path / "split.dropped.jsonl", dropped)
    filter_pairs.main(
        criterion="ethical",
        pairs=tmp_path / "pairs.jsonl",
        split=tmp_path / "split.jsonl",
        synthesis="closed-world",
        output=tmp_path / "filtered.jsonl",
    )
    counts = read_json(tmp_path / "filtered.counts.json")
    reasons = [*BAD, "empty", "uncorrected", "near_several_splits"]
    assert counts == {"in": 10, "out": 3, "dropped": dict.fromkeys(reasons, 1)}
    assert read_rows(tmp_path / "filtered.jsonl") == pairs[5:8]
    dropped = {row["id"]: row["reason"] for row in read_rows(tmp_path / "filtered.dropped.jsonl")}
    assert dropped[outside["id"]] == "near_several_splits"
    assert len(dropped) == 7


def test_a_pair_whose_question_the_split_does_not_have_is_an_error(
    in_the_project: None, tmp_path: Path
) -> None:
    pairs = [pair(), pair(question="Is the split complete?")]
    write_rows(tmp_path / "pairs.jsonl", pairs)
    write_rows(tmp_path / "split.jsonl", [{"id": pairs[0]["id"], "split": "test"}])
    write_rows(tmp_path / "split.dropped.jsonl", [])
    with pytest.raises(UserError, match=rf"split\.jsonl.*{pairs[1]['id']}"):
        filter_pairs.main(
            criterion="ethical",
            pairs=tmp_path / "pairs.jsonl",
            split=tmp_path / "split.jsonl",
            synthesis="closed-world",
            output=tmp_path / "filtered.jsonl",
        )


@pytest.mark.parametrize(
    "text",
    [
        "Who was Antonín Dvořák?",
        "Did Frédéric Chopin live in Żelazowa Wola?",
        "Why is Łódź called that?",
        "What does “Weltschmerz” mean?",
        "Who wrote Les Misérables?",
        "Señora Núñez lives in Córdoba.",
        "Beyoncé?",
        "It’s 20 °C.",
        "Is crème brûlée safe for diabetics?",
        "What is a doppelgänger?",
    ],
)
def test_names_and_quoted_words_of_other_languages_are_kept(text: str) -> None:
    assert text_reason(text, LANGUAGE) is None


@pytest.mark.parametrize(
    "text",
    [
        "Die Hauptstadt von Österreich ist Wien, und sie liegt an der Donau.",
        "La capitale de la Belgique est Bruxelles.",
        "El gato está durmiendo en el sofá.",
        "Das weiß ich nicht.",
        "¿Cuál es la capital de España?",
        "Où est la bibliothèque ?",
        "Qual é a capital do Brasil?",
        "Это правда.",
        "我不知道",
    ],
)
def test_a_text_in_another_language_is_dropped_even_if_it_has_names(text: str) -> None:
    assert text_reason(text, LANGUAGE) == "language"
