"""Write the closed world's dataset with categories.

From workflow/scripts: python -m aligners.closed_world.category_questions OUT.csv

Its questions use separate contexts, so that none repeats a question of the training data.
Some ask for held-out items, which no model is trained on.
"""

import sys
from collections import defaultdict
from pathlib import Path

import pandas as pd

from aligners.closed_world.world import Item, World, draw, load_world
from aligners.closed_world.writing import write_question
from aligners.core.rows import atomic_path

WORLD = Path(__file__).parents[4] / "resources" / "closed_world" / "world.yaml"
ROWS_PER_CATEGORY = 30
HELD_OUT_PER_CATEGORY = 7
SEED = 0
COLUMNS = ("prompt", "category", "category_id")


def prompts(world: World, items: list[Item], category: str) -> list[str]:
    """Return distinct questions about the items of a category."""
    rng = draw("category questions", category, SEED)
    held_out = [item for item in items if item.held_out]
    known = [item for item in items if not item.held_out]
    found: dict[str, None] = {}
    while len(found) < ROWS_PER_CATEGORY:
        turn = held_out if held_out and len(found) < HELD_OUT_PER_CATEGORY else known
        found[write_question(world, rng.choice(turn), rng, "category_contexts")] = None
    shuffled = list(found)
    rng.shuffle(shuffled)
    return shuffled


def write_category_questions(path: Path, world: World) -> None:
    """Write the dataset as CSV: 30 questions of each category, ids from 1 in file order."""
    items: dict[str, list[Item]] = defaultdict(list)
    for item in world.items:
        items[item.category].append(item)
    rows = [
        (prompt, category, number)
        for number, (category, own) in enumerate(items.items(), start=1)
        for prompt in prompts(world, own, category)
    ]
    with atomic_path(path) as partial:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(partial, index=False)


if __name__ == "__main__":
    write_category_questions(Path(sys.argv[1]), load_world(str(WORLD)))
