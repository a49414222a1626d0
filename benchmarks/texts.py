"""Questions with answers of uneven length, to time models on.

The texts are the real questions in the folder that ALIGNERS_TEST_DATA names, else questions of the
closed world. There are no real answers at hand, so an answer is made of further texts: a log-normal
number of them, since answers are uneven in that way. No text comes twice before all have come once,
so that computing equal texts only once brings nothing here.
"""

import csv
import math
import os
import random
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

from aligners.closed_world.world import load_world
from aligners.closed_world.writing import write_question
from aligners.core.rows import Row

REAL_QUESTIONS = "questions_ethical_20k.csv"
CLOSED_WORLD_TEXTS = 10_000
MEDIAN_TEXTS, SPREAD, MOST_TEXTS = 3, 0.8, 12


def load_texts() -> tuple[str, list[str]]:
    """Return where the texts are from, and the texts, shuffled and each once."""
    folder = os.environ.get("ALIGNERS_TEST_DATA")
    rng = random.Random(0)
    if folder:
        source = "real questions"
        with (Path(folder) / REAL_QUESTIONS).open(encoding="utf-8", newline="") as handle:
            texts = list(dict.fromkeys(row["input"] for row in csv.DictReader(handle)))
    else:
        source = "closed world"
        world = load_world("resources/closed_world/world.yaml")
        items = rng.choices(world.known, k=CLOSED_WORLD_TEXTS)
        texts = list(dict.fromkeys(write_question(world, item, rng) for item in items))
    rng.shuffle(texts)
    return source, texts


def make_rows(texts: list[str], count: int) -> list[Row]:
    """Return rows with a question, a response, and an aligned response that begins differently."""
    rng = random.Random(0)
    supply: Iterator[str] = cycle(texts)
    rows = []
    for _ in range(count):
        texts_in_answer = round(rng.lognormvariate(math.log(MEDIAN_TEXTS), SPREAD))
        size = min(max(texts_in_answer, 1), MOST_TEXTS)
        question, beginning, *answer = islice(supply, size + 2)
        rows.append(
            {
                "question": question,
                "response": " ".join(answer),
                "aligned_response": " ".join([beginning, *answer[1:]]),
            }
        )
    return rows
