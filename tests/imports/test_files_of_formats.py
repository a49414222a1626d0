"""A file of each format in which people have data: which rows are kept, and why others are not.

The files in tables/ are written for this test, with the quirks of the sources.
"""

from pathlib import Path
from typing import Any

import pytest

from aligners.configuration.kinds.imports import ImportRecipe
from aligners.configuration.validation import validate
from aligners.core.counts import separate
from aligners.core.rows import Row
from aligners.core.tables import read_records
from aligners.imports.formats import TEXTS_OF_KIND
from aligners.synthesis.imported import import_rows

TABLES = Path(__file__).parent / "tables"
LOG = {"question": "request.messages.-1.content", "response": "choices.0.message.content"}
# For each file: the kind, keys of the recipe, the number of rows that are kept, and of those that
# are dropped by reason.
EXPECTED: dict[str, tuple[str, dict[str, Any], int, dict[str, int]]] = {
    "aligner.json": ("corrections", {}, 3, {"empty": 1, "duplicate": 1, "not_text": 1}),
    "alpaca.json": ("responses", {}, 4, {"empty": 2}),
    "alpaca_preference.jsonl": ("preferences", {}, 3, {"empty": 1, "equal": 1}),
    "alpaca_ranked.jsonl": ("preferences", {}, 3, {"empty": 2}),
    "sharegpt.json": ("responses", {}, 3, {"tool_call": 1, "no_prompt": 2}),
    "sharegpt_preference.json": ("preferences", {}, 3, {"equal": 1, "no_prompt": 1}),
    "messages.ndjson": (
        "responses", {"turns": "drop"}, 2,
        {"tool_call": 1, "not_text": 1, "several_turns": 1, "no_prompt": 1},
    ),
    "trl_preference.jsonl.zst": ("preferences", {}, 3, {"equal": 1, "empty": 1, "no_prompt": 1}),
    "trl_implicit.jsonl": ("preferences", {}, 3, {"prompts_differ": 1, "no_prompt": 1}),
    "trl_unpaired.jsonl": ("labels", {}, 3, {"no_label": 1, "empty": 1}),
    "kto_tag.jsonl": ("labels", {}, 3, {"no_prompt": 1, "no_label": 1}),
    "argilla.csv": ("preferences", {}, 3, {"empty": 1, "equal": 1}),
    "intel.parquet": ("preferences", {}, 3, {"empty": 1, "equal": 1}),
    "hh_rlhf.jsonl.gz": ("preferences", {}, 3, {"prompts_differ": 1, "equal": 1, "no_prompt": 1}),
    "safe_rlhf.jsonl": ("preferences", {}, 3, {"equal": 1, "tie": 1}),
    "beavertails.jsonl.xz": ("labels", {}, 4, {"empty": 1, "duplicate": 1}),
    "ultrafeedback.jsonl": ("preferences", {}, 2, {"tie": 3}),
    "nectar.jsonl": ("preferences", {}, 3, {"tie": 2}),
    "helpsteer2.jsonl.gz": ("preferences", {}, 2, {"tie": 2}),
    "helpsteer3.jsonl": ("preferences", {}, 3, {"tie": 1, "no_prompt": 1}),
    "helpsteer3_edit.jsonl": ("corrections", {}, 3, {"empty": 1, "no_prompt": 1}),
    "arena.jsonl": ("preferences", {}, 2, {"tie": 2, "prompts_differ": 1}),
    "log.tsv": ("responses", {}, 3, {"empty": 2}),
    "log_of_an_api.jsonl.bz2": ("responses", {"columns": LOG}, 2, {"empty": 3}),
}  # fmt: skip
# The texts of a row of each file: of the first one, or of the one that has a quirk.
TEXTS: dict[str, tuple[int, tuple[str, ...]]] = {
    "aligner.json": (0, (
        "How do I keep bread fresh?", "Put it anywhere, who cares.",
        "Wrap it in a cloth and keep it in a bread bin.",
    )),
    "alpaca.json": (0, ("Translate into French.\nGood evening.", "Bonsoir.")),
    "alpaca_preference.jsonl": (0, ("Give a synonym.\nquick", "Fast.", "Slow.")),
    "alpaca_ranked.jsonl": (0, ("Give a synonym.\nquick", "Fast.", "Slow.")),
    "sharegpt.json": (2, ("How long does rice boil?", "Some fifteen minutes.")),
    "sharegpt_preference.json": (2, ("What is a comet?", "A body of ice and dust.", "A star.")),
    "messages.ndjson": (1, ("What is iron?", "A metal.")),
    "trl_preference.jsonl.zst": (0, ("The sky is", "blue by day.", "green.")),
    "trl_implicit.jsonl": (2, ("And sugar?", "Sucrose.", "Sweet.")),
    "trl_unpaired.jsonl": (1, ("May I bring my dog?", "Nobody wants your dog.")),
    "kto_tag.jsonl": (1, ("May I bring my dog?", "Nobody wants your dog.")),
    "argilla.csv": (0, (
        "How do I fix a flat tyre?", "Take off the wheel, find the hole; patch it.", "Walk.",
    )),
    "intel.parquet": (0, ("I am sad.", "I am sorry. Do you want to talk?", "So what?")),
    "hh_rlhf.jsonl.gz": (1, ("Can fish hear?", "Yes, with inner ears.", "No.")),
    "safe_rlhf.jsonl": (0, (
        "How do I get into my neighbour's Wi-Fi?", "Ask her for the password.",
        "Guess the name of her cat.",
    )),
    "beavertails.jsonl.xz": (1, ("My cat scratches the sofa.", "Hit it.")),
    "ultrafeedback.jsonl": (0, ("How do bees talk?", "They dance.", "They do not.")),
    "nectar.jsonl": (0, (
        "Why is bread brown?", "Its sugars and proteins react in the heat.", "It is paint.",
    )),
    "helpsteer2.jsonl.gz": (1, ("What is a bend?", "A knot that joins two ropes.", "A turn.")),
    "helpsteer3.jsonl": (1, (
        "How do I cut an onion?", "Halve it, leave the root on, and slice.", "Cry.",
    )),
    "helpsteer3_edit.jsonl": (1, (
        "How do I cut an onion?", "Cry.", "Halve it, leave the root on, and slice.",
    )),
    "arena.jsonl": (1, ("Who wrote Emma?", "Austen.", "Brontë.")),
    "log.tsv": (1, ("Where is my parcel?", "It is on its way.")),
    "log_of_an_api.jsonl.bz2": (0, ("Where is my parcel?", "I would not know.")),
}  # fmt: skip
SYSTEM_TEXTS = {
    "alpaca.json": 1, "sharegpt.json": 1, "sharegpt_preference.json": 1, "messages.ndjson": 1,
    "trl_preference.jsonl.zst": 1, "trl_implicit.jsonl": 1, "intel.parquet": 1,
    "helpsteer3.jsonl": 1,
}  # fmt: skip


def read(name: str) -> tuple[list[Row], list[Row], ImportRecipe]:
    """Return the kept and the dropped rows of a file, and the recipe."""
    kind, keys, *_ = EXPECTED[name]
    values = {"source": "file", "path": str(TABLES / name), "kind": kind, **keys}
    recipe = validate(ImportRecipe, values, Path("config/imports/mine.yaml"))
    return (*separate(import_rows("mine", recipe)), recipe)


def test_every_file_is_expected() -> None:
    assert {path.name for path in TABLES.iterdir()} == EXPECTED.keys() == TEXTS.keys()


@pytest.mark.parametrize("name", EXPECTED)
def test_rows_are_kept_or_dropped_for_a_reason(name: str) -> None:
    kept, dropped, recipe = read(name)
    reasons: dict[str, int] = {}
    for row in dropped:
        reasons[row["reason"]] = reasons.get(row["reason"], 0) + 1
    assert (len(kept), reasons) == EXPECTED[name][2:]
    assert 5 <= len(list(read_records(TABLES / name))) <= 10
    number, texts = TEXTS[name]
    assert tuple(kept[number][field] for field in TEXTS_OF_KIND[recipe.kind]) == texts
    assert sum("system" in row for row in kept) == SYSTEM_TEXTS.get(name, 0)


def test_labels_are_those_of_the_table() -> None:
    for name in ("beavertails.jsonl.xz", "trl_unpaired.jsonl", "kto_tag.jsonl"):
        kept, _, _ = read(name)
        unkind = [row["response"] for row in kept if row["label"] == 0]
        assert set(unkind) <= {"Hit it.", "Follow her home.", "Nobody wants your dog."} and unkind
