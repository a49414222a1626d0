"""Scores by the exact rules: of responses, of corrections, and of responses cut by a rule."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from aligners.configuration.scored_results import ScoredResults
from aligners.core.errors import UserError
from aligners.evaluation.rule_scores import rule_scores, score_table, system_scores

CRITERIA = ["brief", "impersonal"]
RESPONSES = {"a": "Yeast.", "b": "I say yeast. I say gas. I say dough.", "c": "Gas.", "d": "Gas."}
INITIAL = [
    {"id": key, "question": "Why does bread rise?", "response": text}
    for key, text in RESPONSES.items()
]


def embed(texts: Sequence[str]) -> NDArray[np.floating]:
    """Return the same unit vector for equal texts, and another one for each first letter."""
    return np.array([np.eye(128)[ord(text[0]) % 128] for text in texts])


def test_a_system_is_scored_on_the_rows_that_it_has() -> None:
    texts = {"a": "Yeast.", "b": "Yeast makes gas.", "c": "We say gas."}
    scores = system_scores(CRITERIA, INITIAL, texts, embed)
    assert [scores["kept"][name]["value"] for name in ("brief", "impersonal", "all")] == [
        1.0,
        0.6667,
        0.6667,
    ]
    assert (scores["harm"]["value"], scores["harm"]["n"]) == (0.5, 2)
    assert scores["changed"]["value"] == 0.6667
    assert scores["similarity"] == 0.3333
    assert "66.7%" in score_table({"llm": {"squad": scores}})


def test_a_criterion_without_a_rule_is_one_message() -> None:
    scored = ScoredResults(["brief", "ethical"], "i", "b", [], [], [], [])
    with pytest.raises(UserError, match=r"ethical has no exact rule.*brief, impersonal"):
        rule_scores(scored, embed)
