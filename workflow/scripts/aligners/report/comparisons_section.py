"""What the page says of the comparisons: rates, tests, and the closed world's truth."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from aligners.rows import read_json


def read_comparisons(
    judged: Sequence[Path],
    backbones: Sequence[str],
    systems: Sequence[str],
    references: Sequence[str],
) -> list[dict[str, Any]]:
    """Return the comparisons of some judges, in the order of the names.

    Args:
        judged: directories `{judge}/{dataset}/{llm}`.
        backbones, systems, references: of the comparisons in each of them.
    """
    return [
        read_json(directory.joinpath(*names, "comparison.json"))
        for directory, *names in product(judged, backbones, systems, references)
    ]


def comparisons_section(
    comparisons: Sequence[dict[str, Any]], judged: Sequence[Path], scorecard: Path | None
) -> dict[str, Any]:
    """Return comparisons and tests in groups of judge, data set and LLM, and the scorecard.

    The comparisons of a group are by reference and backbone.

    Args:
        comparisons: of `read_comparisons`.
        judged: directories `{judge}/{dataset}/{llm}`, with the tests.
        scorecard: of the closed world, or None outside it.
    """
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for comparison in comparisons:
        key = comparison["judge"], comparison["dataset"], comparison["llm"]
        against = comparison["reference"], comparison["backbone"]
        group = groups.setdefault(key, {"against": {}, "tests": []})
        group["against"].setdefault(against, []).append(comparison)
    for directory in judged:
        judge, dataset, llm = directory.parts[-3:]
        groups[judge, dataset, llm]["tests"] = read_json(directory / "paired_tests.json")
    return {
        "count": len(comparisons),
        "groups": [
            {"judge": judge, "dataset": dataset, "llm": llm, **group}
            for (judge, dataset, llm), group in groups.items()
        ],
        "truth": read_json(scorecard)["datasets"]["all"] if scorecard else {},
    }
