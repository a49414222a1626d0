"""Write the closed world's dataset with categories.

From workflow/scripts: python -m aligners.closed_world.category_questions OUT.csv

The questions have contexts and ways to ask of their own, so that none repeats a question, or a
sentence at the end of a question, of the training data. Some ask for held-out items. No model is
trained on these.
"""

import sys
from collections import defaultdict
from pathlib import Path

import pandas as pd

from aligners.closed_world.world import Item, World, load_world, make_rng
from aligners.closed_world.writing import write_question
from aligners.core.rows import atomic_path

WORLD = Path(__file__).parents[4] / "resources" / "closed_world" / "world.yaml"
ROWS_PER_CATEGORY = 30
HELD_OUT_PER_CATEGORY = 7
SEED = 0
COLUMNS = ("prompt", "category", "category_id")


def category_questions(world: World, items: list[Item], category: str) -> list[str]:
    """Return distinct questions about the items of a category, in random order."""
    rng = make_rng("category questions", category, SEED)
    held_out = [item for item in items if item.held_out]
    known = [item for item in items if not item.held_out]
    found: dict[str, None] = {}
    while len(found) < ROWS_PER_CATEGORY:
        pool = held_out if held_out and len(found) < HELD_OUT_PER_CATEGORY else known
        found[write_question(world, rng.choice(pool), rng, with_category=True)] = None
    shuffled = list(found)
    rng.shuffle(shuffled)
    return shuffled


def write_category_questions(path: Path, world: World) -> None:
    """Write the dataset as CSV, category by category. Category ids start at 1."""
    items: dict[str, list[Item]] = defaultdict(list)
    for item in world.items:
        items[item.category].append(item)
    rows = [
        (question, category, number)
        for number, (category, members) in enumerate(items.items(), start=1)
        for question in category_questions(world, members, category)
    ]
    with atomic_path(path) as partial:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(partial, index=False)


if __name__ == "__main__":
    write_category_questions(Path(sys.argv[1]), load_world(str(WORLD)))
