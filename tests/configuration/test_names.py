"""Names of recipes are parts of paths under results/: no two names lead to the same path."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from aligners.configuration import results
from aligners.configuration.experiment import SECTIONS, TABLES
from aligners.configuration.fields import Name
from aligners.configuration.results import ResultPath
from aligners.configuration.seeds import names_with_seeds, recipe_of, seed_of

NAME = TypeAdapter(Name)
PATTERNS = [value for value in vars(results).values() if isinstance(value, ResultPath)]
# What steps write beside a file of rows.
BESIDE = ("dropped.jsonl", "counts.json", "usage.json", "judge.json", "sums.json")
# A few names, what the workflow puts after a name or beside it, and names of its own files.
CANDIDATES = [
    "a", "a.5", "a-5", "0", "a.dropped", "a.counts", "a.usage", "a.jsonl", "a.usage.json",
    "a.counts.json", "turns.jsonl", "thresholds.csv", "paired_tests.json", "win_rates.csv", "a.",
    "dropped", "counts", "pairs", "model", "turns", "a..5", "a.5.dropped", "a.seed1",
]  # fmt: skip
FIXED = {
    "kind": ["aligner", "inspector"],
    "side": ["train", "validation", "test"],
    "shard": ["0", "1"],
    "stage": list(results.STAGES),
    "section": list(SECTIONS),
    "table": list(TABLES),
    "form": ["csv", "md", "tex"],
    "system": ["squad", "a", "a.5"],
}

SEEDS = [0, 1, 10]


def is_name(text: str) -> bool:
    """Return whether a text is accepted as a name."""
    try:
        NAME.validate_python(text)
    except ValidationError:
        return False
    return True


def written_paths(names: list[str]) -> Iterator[Path]:
    """Yield every path that an experiment with these names and several seeds can write."""
    trained = names_with_seeds(names, SEEDS)
    given = {
        "hub_model": [f"llms/{name}" for name in names],
        "inspector": trained,
        "backbone": trained,
        **FIXED,
    }
    for pattern in PATTERNS:
        fields = {field: given.get(field, names) for field in pattern.fields}
        beside = [pattern.beside(ending) for ending in BESIDE if pattern.endswith(results.ROWS)]
        yield from chain.from_iterable(each.paths(fields) for each in [pattern, *beside])


@pytest.mark.parametrize("name", CANDIDATES)
def test_no_two_names_lead_to_the_same_path(name: str) -> None:
    names = [each for each in dict.fromkeys(["a", name, "turns"]) if is_name(each)]
    paths = list(written_paths(names))
    assert len(paths) > 100
    assert len(set(paths)) == len(paths)
    directories = {parent for path in paths for parent in path.parents}
    assert not directories & set(paths)


@pytest.mark.parametrize(
    "name", ["gpt-4.1-mini", "qwen2.5-0.5b", "llama-3.2-1b", "a_b", "0", "a.5"]
)
def test_dots_of_version_numbers_are_allowed(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "A", "a b", "a/b", "../a", ".a", "-a", "a.", "a.b", "a..5", "a.dropped", "a\n", "a" * 65],
)
def test_other_names_are_refused(name: str) -> None:
    assert not is_name(name)


def test_a_name_with_a_seed_is_no_name_of_a_recipe_and_is_read_again() -> None:
    seeds = [7, 0, 12]
    names = names_with_seeds(["a", "a.5"], seeds)
    assert names == ["a", "a.5", "a.seed0", "a.5.seed0", "a.seed12", "a.5.seed12"]
    assert [is_name(name) for name in names] == [True, True, False, False, False, False]
    assert [(recipe_of(name), seed_of(name, seeds)) for name in names] == [
        (recipe, seed) for seed in seeds for recipe in ("a", "a.5")
    ]
