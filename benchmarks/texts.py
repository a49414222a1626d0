"""Questions with responses of uneven length, for timing models.

The texts are the real questions in the folder ALIGNERS_TEST_DATA, if set, or else questions of the
closed world. Real responses are not available, so a response consists of further questions. Their
number is log-normal, as the lengths of real responses are. A text repeats only after all others, so
that computing equal texts only once gives no advantage.
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
MEDIAN_TEXTS, SPREAD, MAX_TEXTS = 3, 0.8, 12


def load_texts() -> tuple[str, list[str]]:
    """Return the source of the texts, and the distinct texts, shuffled."""
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
    """Return rows with a question, a response, and a correction with another beginning."""
    rng = random.Random(0)
    supply: Iterator[str] = cycle(texts)
    rows = []
    for _ in range(count):
        count_in_response = round(rng.lognormvariate(math.log(MEDIAN_TEXTS), SPREAD))
        size = min(max(count_in_response, 1), MAX_TEXTS)
        question, beginning, *response = islice(supply, size + 2)
        rows.append(
            {
                "question": question,
                "response": " ".join(response),
                "aligned_response": " ".join([beginning, *response[1:]]),
            }
        )
    return rows
