"""Write the closed world's dataset with categories.

From workflow/scripts: python -m aligners.closed_world.category_questions OUT.csv

Its questions use separate contexts, so that none repeats a question of the training data.
Some ask for held-out items, which no model is trained on.
"""

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from aligners.closed_world.world import Item, World, draw, load_world
from aligners.closed_world.writing import write_question
from aligners.core.rows import atomic_path

WORLD = Path(__file__).parents[4] / "resources" / "closed_world" / "world.yaml"
ROWS_PER_CATEGORY = 30
HELD_OUT_PER_CATEGORY = 7
SEED = 0
COLUMNS = ("prompt", "category", "category_id")


def category_rows(world: World) -> Iterator[tuple[str, str, int]]:
    """Yield (prompt, category, category id) for each category; ids start at 1 in file order."""
    categories = list(dict.fromkeys(item.category for item in world.items))
    for number, category in enumerate(categories, start=1):
        items = [item for item in world.items if item.category == category]
        for prompt in prompts(world, items, category):
            yield prompt, category, number


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
    """Write the dataset as CSV with the columns prompt, category, category_id."""
    with atomic_path(path) as partial, partial.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(category_rows(world))


if __name__ == "__main__":
    write_category_questions(Path(sys.argv[1]), load_world(str(WORLD)))
