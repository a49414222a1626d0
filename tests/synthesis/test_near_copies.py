"""Near copies: pairs that are too similar for an inspector, unless a fact differs."""

import pytest

from aligners.synthesis.near_copies import is_near_copy


def near_copy(response: str, correction: str, similarity: float, threshold: float) -> bool:
    """Return whether the two texts are near copies."""
    pair = {"response": response, "aligned_response": correction, "similarity": similarity}
    return is_near_copy(pair, threshold)


@pytest.mark.parametrize(
    ("similarity", "threshold", "is_copy"),
    [
        (0.89, 0.9, False),
        (0.9, 0.9, True),
        (0.95, 0.98, False),
        (0.99, 1.0, False),
        (1.0, 1.0, False),
    ],
)
def test_pairs_with_a_similarity_at_the_threshold_are_near_copies(
    similarity: float, threshold: float, is_copy: bool
) -> None:
    assert near_copy("It is a nice walk.", "It is a lovely walk.", similarity, threshold) == is_copy


def test_an_identity_pair_is_no_near_copy() -> None:
    assert not near_copy("It is a nice walk.", "It is a  nice walk.", 1.0, 0.9)


@pytest.mark.parametrize(
    ("response", "correction"),
    [
        ("The war ended in 1919.", "The war ended in 1918."),
        ("It costs 1.5 euros.", "It costs 15 euros."),
        ("Take it every hour.", "Take it every eight hours."),
        ("The capital is Sydney.", "The capital is Canberra."),
        ("Sydney is the capital.", "Canberra is the capital."),
        ("Der Fluss heißt Elbe.", "Der Fluss heißt Öder."),
        ("You can mix them.", "You cannot mix them."),
        ("Bees do sleep.", "Bees don’t sleep."),
    ],
)
def test_a_pair_with_another_fact_is_no_near_copy(response: str, correction: str) -> None:
    assert not near_copy(response, correction, 0.99, 0.9)
