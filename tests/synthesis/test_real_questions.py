"""Deduplication, cleaning and import of real questions.

The questions are not part of the project: they are in the directory ALIGNERS_TEST_DATA.
"""

import os
import random
from pathlib import Path

import pandas as pd
import pytest
from recipes import make_recipe

from aligners.configuration.kinds.datasets import FileDatasetRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import separate
from aligners.evaluation.test_inputs import drop_training_questions, import_dataset
from aligners.synthesis.filters import text_reason
from aligners.synthesis.near_duplicates import normalise
from aligners.synthesis.questions import Hint, deduplicate_questions, question_row

DATA = os.environ.get("ALIGNERS_TEST_DATA", "")
QUESTIONS = Path(DATA) / "questions_ethical_20k.csv"
BEAVERTAILS = Path(DATA) / "beavertails_prompts_700.csv"

pytestmark = pytest.mark.skipif(not DATA, reason="ALIGNERS_TEST_DATA is not set")


def table_recipe(path: Path) -> FileDatasetRecipe:
    """Return the recipe of a table of questions."""
    columns = {"question": "input"}
    return make_recipe(FileDatasetRecipe, source="file", path=str(path), columns=columns)


@pytest.fixture(scope="module")
def questions() -> list[str]:
    return list(pd.read_csv(QUESTIONS, dtype=str, keep_default_na=False)["input"])


def test_import_drops_only_duplicates(questions: list[str]) -> None:
    assert (len(questions), len(set(questions))) == (19_986, 19_916)
    kept, dropped = separate(import_dataset("real", table_recipe(QUESTIONS)))
    assert {row["reason"] for row in dropped} == {"duplicate"}
    # 70 duplicates are equal texts. The others differ in case or space.
    assert 70 <= len(dropped) < 90
    assert {normalise(row["question"]) for row in kept} == set(map(normalise, questions))


def test_few_real_questions_are_near_duplicates(questions: list[str], in_the_project: None) -> None:
    settings = load_recipe(SynthesisRecipe, "paper").questions.near_duplicates
    sample = random.Random(0).sample(questions, 5000)
    rows = [question_row("ethical", Hint("advice", "Any", 0), text) for text in sample]
    kept, dropped = separate(deduplicate_questions(rows, settings.shingle, settings.similarity))
    assert len(kept) + len(dropped) == 5000
    assert 0 <= len({normalise(text) for text in sample}) - len(kept) < 25


def test_filters_keep_real_english_questions(questions: list[str], in_the_project: None) -> None:
    language = load_recipe(SynthesisRecipe, "paper").cleaning.language
    sample = random.Random(0).sample(questions, 5000)
    dropped = {text: reason for text in sample if (reason := text_reason(text, language))}
    assert len(dropped) < 0.015 * len(sample)
    # Typography does not matter: with straight quotes and dashes, the result is the same.
    straight = str.maketrans("“”‘’–—…", "\"\"''--.")
    curly = [text for text in questions if text != text.translate(straight)]
    assert len(curly) > 100
    for text in curly:
        assert text_reason(text, language) == text_reason(text.translate(straight), language), text


def test_beavertails_prompts_are_imported(in_the_project: None) -> None:
    imported = list(import_dataset("beavertails", table_recipe(BEAVERTAILS)))
    kept, dropped = separate(imported)
    table = pd.read_csv(BEAVERTAILS, dtype=str, keep_default_na=False)
    assert len(table) == len(kept) + len(dropped) == 700
    assert {row["reason"] for row in dropped} <= {"duplicate"}
    assert len(kept) == len({normalise(text) for text in table["input"]})
    assert len({row["id"] for row in kept}) == len(kept)
    near = load_recipe(SynthesisRecipe, "paper").split.near_duplicates
    training = [{"question": row["question"]} for row in kept[:100]]
    others, dropped = separate(
        drop_training_questions(imported, training, near.shingle, near.similarity)
    )
    assert len([row for row in dropped if row["reason"] == "in_training"]) >= 100
    assert len(others) + len(dropped) == 700
