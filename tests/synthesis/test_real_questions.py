"""Real questions through deduplication, cleaning and import.

They lie in the folder that ALIGNERS_TEST_DATA names, and are no part of the project.
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
from aligners.evaluation.test_inputs import drop_training_questions, import_dataset
from aligners.synthesis.filters import text_reason
from aligners.synthesis.near_duplicates import normalise
from aligners.synthesis.questions import Hint, deduplicate_questions, question_row

DATA = os.environ.get("ALIGNERS_TEST_DATA", "")
QUESTIONS = Path(DATA) / "questions_ethical_20k.csv"
BEAVERTAILS = Path(DATA) / "beavertails_prompts_700.csv"

pytestmark = pytest.mark.skipif(not DATA, reason="ALIGNERS_TEST_DATA is not set")


@pytest.fixture(scope="module")
def questions() -> list[str]:
    return list(pd.read_csv(QUESTIONS, dtype=str, keep_default_na=False)["input"])


def table_recipe(path: Path) -> FileDatasetRecipe:
    """Return the recipe of a table of questions."""
    columns = {"question": "input"}
    return make_recipe(FileDatasetRecipe, source="file", path=str(path), columns=columns)


def test_exact_duplicates_go_and_nothing_else(questions: list[str]) -> None:
    assert (len(questions), len(set(questions))) == (19_986, 19_916)
    sieve = import_dataset("real", table_recipe(QUESTIONS))
    assert {row["reason"] for row in sieve.dropped} == {"duplicate"}
    # Beside the 70 exact ones, those that differ in case or space.
    assert 70 <= len(sieve.dropped) < 90
    assert {normalise(row["question"]) for row in sieve.kept} == set(map(normalise, questions))


def test_near_duplicates_are_few_and_near(questions: list[str], in_the_project: None) -> None:
    settings = load_recipe(SynthesisRecipe, "paper").questions.near_duplicates
    some = random.Random(0).sample(questions, 5000)
    rows = [question_row("ethical", Hint("advice", "Any", 0), text) for text in some]
    sieve = deduplicate_questions(rows, settings.shingle, settings.similarity)
    assert len(sieve.kept) + len(sieve.dropped) == 5000
    assert len({normalise(text) for text in some}) - len(sieve.kept) < 25


def test_filters_leave_real_english_questions(questions: list[str], in_the_project: None) -> None:
    language = load_recipe(SynthesisRecipe, "paper").cleaning.language
    some = random.Random(0).sample(questions, 5000)
    dropped = {text: reason for text in some if (reason := text_reason(text, language))}
    assert len(dropped) < 0.015 * len(some)
    # Typography is no reason: straightened, the same questions are dropped.
    straight = str.maketrans("“”‘’–—…", "\"\"''--.")
    curly = [text for text in questions if text != text.translate(straight)]
    assert len(curly) > 100
    for text in curly:
        assert text_reason(text, language) == text_reason(text.translate(straight), language), text


def test_beavertails_prompts_are_imported(in_the_project: None) -> None:
    sieve = import_dataset("beavertails", table_recipe(BEAVERTAILS))
    table = pd.read_csv(BEAVERTAILS, dtype=str, keep_default_na=False)
    assert len(table) == len(sieve.kept) + len(sieve.dropped) == 700
    assert {row["reason"] for row in sieve.dropped} <= {"duplicate"}
    assert len(sieve.kept) == len({normalise(text) for text in table["input"]})
    assert len({row["id"] for row in sieve.kept}) == len(sieve.kept)
    near = load_recipe(SynthesisRecipe, "paper").split.near_duplicates
    training = [{"question": row["question"]} for row in sieve.kept[:100]]
    result = drop_training_questions(sieve, training, near.shingle, near.similarity)
    assert len([row for row in result.dropped if row["reason"] == "in_training"]) >= 100
    assert len(result.kept) + len(result.dropped) == 700
