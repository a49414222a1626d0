"""Languages of criteria: texts that the filter keeps and drops, prompts, and critiques."""

import re
from collections import Counter
from pathlib import Path

import pytest
from lingua import Language as LinguaLanguage
from projects import ROOT
from pydantic import ValidationError

from aligners.configuration.kinds.criteria import (
    CriterionRecipe,
    Demonstration,
    Principle,
    Principles,
)
from aligners.configuration.kinds.synthesis import Language
from aligners.configuration.languages import NAMES
from aligners.core.rows import Row
from aligners.synthesis.critiques import critique_reader
from aligners.synthesis.filters import filter_pair, text_reason
from aligners.synthesis.pair_prompts import pairs_prompt
from aligners.synthesis.questions import Hint, question_reason, questions_prompt
from aligners.synthesis.topics import topic_reason, topics_prompt

LANGUAGE = Language()
TEXTS = {
    code: (Path(__file__).parent / f"languages/{code}.txt").read_text(encoding="utf-8").splitlines()
    for code in ("de", "en", "fr", "es")
}
# Most wrong decisions on the texts of each language, by the languages of the criterion.
ERRORS = {
    ("en",): {"de": 3, "en": 4, "fr": 0, "es": 0},
    ("de",): {"de": 2, "en": 2, "fr": 2, "es": 0},
    ("fr",): {"de": 1, "en": 3, "fr": 0, "es": 3},
    ("es",): {"de": 1, "en": 3, "fr": 5, "es": 1},
    ("en", "de"): {"de": 1, "en": 2, "fr": 2, "es": 1},
}


def is_checked(text: str) -> bool:
    """Return whether the language of a text is checked: not of a short one in plain letters."""
    return not text.isascii() or len(text.split()) >= LANGUAGE.minimum_words


@pytest.mark.parametrize("languages", ERRORS)
@pytest.mark.parametrize("code", TEXTS)
def test_texts_in_the_languages_of_a_criterion_are_kept_and_others_dropped(
    languages: tuple[str, ...], code: str
) -> None:
    expected = None if code in languages else "language"
    wrong = [
        text
        for text in filter(is_checked, TEXTS[code])
        if text_reason(text, LANGUAGE, languages) != expected
    ]
    assert len(wrong) <= ERRORS[languages][code], wrong


@pytest.mark.parametrize(
    ("code", "good", "foreign"),
    [
        ("de", "Wer war Søren Kierkegaard?", "Who was Søren Kierkegaard?"),
        ("fr", "Où habite François ?", "Wo wohnt François, und warum?"),
        ("ru", "Кто написал «Войну и мир»?", "Who wrote War and Peace?"),
        ("uk", "Хто написав «Кобзар»?", "Who wrote the Kobzar poems?"),
        ("el", "Ποια είναι η πρωτεύουσα της Ελλάδας;", "What is the capital of Greece?"),
        ("zh", "中国的首都是哪里？", "日本の首都はどこですか。"),
        ("ja", "日本の首都はどこですか。", "我们应该怎样才能学好一门新的语言？"),
        ("hi", "भारत की राजधानी क्या है?", "What is the capital of India?"),
        ("da", "Hvad hedder hovedstaden i Danmark?", "What is the capital of Denmark?"),
    ],
)
def test_a_criterion_can_have_any_language_that_lingua_knows(
    code: str, good: str, foreign: str
) -> None:
    assert text_reason(good, LANGUAGE, [code]) is None
    assert text_reason(foreign, LANGUAGE, [code]) == "language"


def test_every_language_of_lingua_has_its_name() -> None:
    known = {language.iso_code_639_1.name.lower() for language in LinguaLanguage.all()}
    assert known == set(NAMES)


@pytest.mark.parametrize("codes", [["xx"], ["german"], ["de", "DE"], ["de", "de"], []])
def test_unknown_and_repeated_languages_are_refused(codes: list[str]) -> None:
    principles = ROOT / "resources/criteria/ethical/principles.yaml"
    with pytest.raises(ValidationError, match="languages") as error:
        CriterionRecipe.model_validate({"principles": str(principles), "languages": codes})
    assert not codes or repr(codes[-1]) in str(error.value)


def principles(critique: str = "Nothing is wrong.") -> Principles:
    """Return principles in German with the critique of a good response."""
    good = Demonstration(input="Warum?", response="Darum.", critique=critique, correction="Darum.")
    rude = Demonstration(
        input="Wann?", response="Nie, du Esel.", critique="Das beleidigt.", correction="Nie."
    )
    return Principles(
        introduction="Ein Lektor verbessert Antworten.",
        principles=[Principle(name="höflich", text="Eine gute Antwort ist höflich.")],
        demonstrations=[rude, good],
    )


def test_prompts_name_the_languages_unless_they_are_english() -> None:
    def prompts(*languages: str) -> list[str]:
        hints = [Hint("Rat", "Alte Uhren", 0)]
        system = pairs_prompt(principles(), "Warum?", True, languages=languages)[0]
        return [
            topics_prompt("Rat", ["Alte Uhren"], 3, True, languages),
            questions_prompt([], hints, "Höflich.", True, languages),
            system["content"],  # type: ignore[index]
        ]

    assert all(re.search(r"\bin German or French\b", prompt) for prompt in prompts("de", "fr"))
    assert "labels stay in English" in prompts("de")[2]
    for english, german in zip(prompts("en"), prompts("de"), strict=True):
        sentence = re.search(r" (Write them|The parts are) in German[^.]*\.", german)
        assert sentence and german.replace(sentence[0], "") == english


FINE = "Daran gibt es nichts auszusetzen."


@pytest.mark.parametrize(
    ("critique", "changed", "reason"),
    [
        (FINE, False, None),
        ("daran gibt es nichts auszusetzen!", False, None),
        ("Nothing is wrong.", False, None),
        (FINE, True, "contradiction"),
        # "Kind" is a child, and "fair" is no praise here.
        ("Das ist gegenüber dem Kind nicht fair.", True, None),
        ("Die Antwort beleidigt das Kind.", True, None),
        ("Das ist alles so in Ordnung.", False, "unclear_critique"),
    ],
)
def test_critiques_in_german_are_read_by_the_demonstrations_alone(
    critique: str, changed: bool, reason: str | None
) -> None:
    row: Row = {
        "question": "Was soll ich mit der alten Uhr machen?",
        "response": "Bring sie zu einer Uhrmacherin, du Esel.",
        "critique": critique,
        "aligned_response": "Bring sie zu einer Uhrmacherin" + ("." if changed else ", du Esel."),
    }
    reader = critique_reader(principles(FINE), ["de"])
    assert filter_pair(row, LANGUAGE, Counter(), ["de"], reader) == (row, reason)


@pytest.mark.parametrize("topic", ["Öffentliche Ämter", "東京の天気", "Σκύλοι", "موسيقى"])
def test_topics_begin_with_a_capital_or_a_letter_of_a_script_without_capitals(topic: str) -> None:
    assert topic_reason(topic) is None


def test_a_question_without_blanks_has_several_words() -> None:
    assert question_reason("東京の天気はどうですか。") is None
    assert question_reason("Katzen?") == "not_a_question"


@pytest.mark.parametrize("name", ["höflich", "विनम्र", "礼貌"])
def test_a_principle_can_have_a_name_in_any_script(name: str) -> None:
    assert Principle(name=name, text="Eine gute Antwort ist höflich.").name == name


@pytest.mark.parametrize("name", ["Höflich", "sehr höflich", "höflich.", "fair2", "„fair“", ""])
def test_the_name_of_a_principle_is_one_word_in_lower_case(name: str) -> None:
    with pytest.raises(ValidationError, match="name"):
        Principle(name=name, text="Eine gute Antwort ist höflich.")
