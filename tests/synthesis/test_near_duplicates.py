"""Near-duplicates: the results of the search, compared with the similarity of every pair."""

import itertools
import random

import pytest
from similarity import jaccard

from aligners.synthesis.near_duplicates import (
    NearDuplicates,
    ShingledTexts,
    duplicate_reasons,
    normalise,
    shingles,
)

FAMILIES = 100
LENGTH = 20
WORDS = ["".join(letters) for letters in itertools.product("bdfk", "aeiou", "lmnr", "aeo")]


def families() -> list[str]:
    """Return sentences, and variants of them with a few changed words."""
    chooser = random.Random(0)
    texts = []
    for _ in range(FAMILIES):
        words = chooser.choices(WORDS, k=LENGTH)
        texts.append(" ".join(words))
        for _ in range(3):
            changed = list(words)
            for place in chooser.sample(range(LENGTH), chooser.randint(1, 4)):
                changed[place] = chooser.choice(WORDS)
            texts.append(" ".join(changed))
    chooser.shuffle(texts)
    return texts


def framed() -> list[str]:
    """Return texts that share a frame, with fillers of different lengths."""
    chooser = random.Random(1)
    words = ["".join(chooser.choices("abcdefgh", k=chooser.randint(2, 9))) for _ in range(30)]
    return [
        f"What should I know about the {first} and the {second} when I move?"
        for first, second in chooser.sample(list(itertools.product(words, words)), 400)
    ]


TEXTS = {
    "families": families(),
    "framed": framed(),
    "of different lengths": [text[:length] for text in families()[:80] for length in (9, 40, 90)],
}


def near_before(texts: list[str], similarity: float) -> list[list[int]]:
    """Return the numbers of the earlier texts that are similar to each text."""
    pieces = [shingles(text, 5) for text in texts]
    return [
        [other for other in range(number) if jaccard(pieces[other], mine) >= similarity]
        for number, mine in enumerate(pieces)
    ]


@pytest.mark.parametrize("similarity", [0.3, 0.55, 0.6, 0.7, 0.8, 1.0])
@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_the_first_near_duplicate_of_each_text_is_found(
    texts: list[str], similarity: float
) -> None:
    index = NearDuplicates(ShingledTexts(texts, 5, similarity))
    found = []
    for number in range(len(texts)):
        found.append(index.first(number))
        index.add(number)
    near = near_before(texts, similarity)
    assert found == [min(others, default=None) for others in near]
    assert any(near) or similarity == 1.0


@pytest.mark.parametrize("similarity", [0.6, 0.8])
@pytest.mark.parametrize("texts", TEXTS.values(), ids=TEXTS)
def test_a_text_is_dropped_if_an_earlier_kept_text_is_similar(
    texts: list[str], similarity: float
) -> None:
    kept: set[int] = set()
    for number, others in enumerate(near_before(texts, similarity)):
        if kept.isdisjoint(others):
            kept.add(number)
    reasons = duplicate_reasons(texts, 5, similarity, "texts")
    assert kept == {number for number, reason in enumerate(reasons) if reason is None}
    assert 10 < len(kept) < len(texts)


def test_a_text_that_equals_a_dropped_text_is_a_duplicate() -> None:
    texts = ["the same words again", "the same words again!", "The same words  again!", "others"]
    reasons = duplicate_reasons(texts, 3, 0.8, "texts")
    assert reasons == [None, "near_duplicate", "duplicate", None]


@pytest.mark.parametrize(
    ("shared", "other", "similarity"), [(3, 2, 0.6), (55, 45, 0.55), (14, 11, 0.56), (29, 71, 0.29)]
)
def test_texts_at_the_threshold_are_near_duplicates(
    shared: int, other: int, similarity: float
) -> None:
    letters = [chr(ord("\u4e00") + number) for number in range(shared + other)]
    texts = ["".join(letters), "".join(letters[:shared])]
    assert jaccard(*(shingles(text, 1) for text in texts)) == pytest.approx(similarity)
    assert duplicate_reasons(texts, 1, similarity, "texts") == [None, "near_duplicate"]
    assert duplicate_reasons(texts, 1, similarity + 0.001, "texts") == [None, None]
    assert duplicate_reasons(texts[::-1], 1, similarity, "texts") == [None, "near_duplicate"]


@pytest.mark.parametrize("text", ["", "a", "Why", "Why?"])
def test_a_text_shorter_than_a_shingle_has_near_duplicates(text: str) -> None:
    assert duplicate_reasons([text, "-", f" {text.upper()} "], 5, 0.8, "texts") == [
        None,
        None,
        "duplicate",
    ]


def test_no_texts_have_no_reasons() -> None:
    assert duplicate_reasons([], 5, 0.8, "texts") == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What  is\n it?", "what is it?"),
        ("Caf\u00e9", "cafe\u0301"),
        ("non\u00a0breaking", "non breaking"),
        ("narrow\u202fspace", "narrow space"),
        ("What\u2019s \u201cthis\u201d\u2026", 'What\'s "this"...'),
        ("\u2018so\u2032 \u00abcalled\u00bb", "'so' \"called\""),
        ("twenty\u2010one \u2013 two\u2014three \u22121", "twenty-one - two-three -1"),
        ("R&amp;D isn&#39;t &quot;x&quot;&nbsp;&hellip;", 'R&D isn\'t "x" ...'),
        ("soft\u00adhyphen\u200b\ufeff", "softhyphen"),
    ],
)
def test_texts_that_differ_in_form_alone_are_duplicates(first: str, second: str) -> None:
    assert normalise(first) == normalise(second)
    assert duplicate_reasons([first, second], 5, 0.8, "texts") == [None, "duplicate"]
