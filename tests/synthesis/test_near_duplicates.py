"""Near-duplicates: the results of the index, compared with the similarity of every pair."""

import itertools
import random

import pytest

from aligners.synthesis.near_duplicates import NearDuplicates, jaccard, normalise, shingles

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


@pytest.fixture(scope="module")
def similarities() -> dict[tuple[str, str], float]:
    """The similarity of every pair of sentences, by their numbers."""
    pieces = {str(number): shingles(text, 5) for number, text in enumerate(families())}
    return {
        pair: jaccard(pieces[pair[0]], pieces[pair[1]])
        for pair in itertools.combinations(pieces, 2)
    }


@pytest.mark.parametrize("similarity", [0.6, 0.7, 0.8])
def test_the_index_finds_almost_all_pairs_above_the_threshold_and_no_others(
    similarities: dict[tuple[str, str], float], similarity: float
) -> None:
    near = {pair for pair, value in similarities.items() if value >= similarity}
    index = NearDuplicates(5, similarity)
    found = {
        (other, str(number))
        for number, text in enumerate(families())
        for other in index.find_and_add(str(number), text, keep_if_found=True)
    }
    assert len(near) > 50
    assert found <= near
    assert len(near - found) <= len(near) * 0.02


def test_texts_at_the_threshold_are_near_duplicates() -> None:
    first, second = "abcdefgh", "abcdefgx"
    assert jaccard(shingles(first, 5), shingles(second, 5)) == pytest.approx(3 / 5)
    for similarity, found in ((0.6, ["first"]), (0.61, [])):
        index = NearDuplicates(5, similarity)
        index.find_and_add("first", first)
        assert index.find_and_add("second", second) == found


def test_keys_are_returned_oldest_first() -> None:
    index = NearDuplicates(3, 0.5)
    keys = ["z", "b", "y", "a"]
    for position, key in enumerate(keys):
        text = "the same words again" + "!" * position
        assert index.find_and_add(key, text, keep_if_found=True) == keys[:position]


def test_a_text_with_near_duplicates_is_indexed_only_with_keep_if_found() -> None:
    for keep, found in ((False, ["first"]), (True, ["first", "second"])):
        index = NearDuplicates(3, 0.8)
        index.find_and_add("first", "the same words again")
        index.find_and_add("second", "The same words  again", keep_if_found=keep)
        assert index.find_and_add("third", "the same words again") == found


def test_a_removed_text_is_not_found() -> None:
    index = NearDuplicates(3, 0.8)
    index.find_and_add("first", "the same words")
    index.remove("first")
    assert index.find_and_add("second", "the same words") == []


@pytest.mark.parametrize("text", ["", "a", "Why", "Why?"])
def test_a_text_shorter_than_a_shingle_has_near_duplicates(text: str) -> None:
    index = NearDuplicates(5, 0.8)
    assert index.find_and_add("first", text) == []
    assert index.find_and_add("second", f" {text.upper()} ") == ["first"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("What  is\n it?", "what is it?"),
        ("Caf\u00e9", "cafe\u0301"),
        ("non\u00a0breaking", "non breaking"),
    ],
)
def test_texts_that_differ_in_case_space_or_composition_are_duplicates(
    first: str, second: str
) -> None:
    assert normalise(first) == normalise(second)
