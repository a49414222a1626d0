"""What the page says of the comparisons: rates, tests, and the closed world's truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aligners.rows import read_json


def comparisons_section(
    comparisons: Sequence[Path], tests: Sequence[Path], scorecard: Path | None
) -> dict[str, Any]:
    """Return comparisons and tests in groups of judge, data set and LLM, and the scorecard.

    The comparisons of a group are by reference and backbone.

    Args:
        comparisons: comparison.json of each.
        tests: `{judge}/{dataset}/{llm}/paired_tests.json`.
        scorecard: of the closed world, or None outside it.
    """
    groups: dict[tuple[str, str, str], dict[str, Any]] = {}
    for path in comparisons:
        comparison = read_json(path)
        key = comparison["judge"], comparison["dataset"], comparison["llm"]
        against = comparison["reference"], comparison["backbone"]
        group = groups.setdefault(key, {"against": {}, "tests": []})
        group["against"].setdefault(against, []).append(comparison)
    for path in tests:
        judge, dataset, llm = path.parts[-4:-1]
        groups[judge, dataset, llm]["tests"] = read_json(path)
    return {
        "count": len(comparisons),
        "groups": [
            {"judge": judge, "dataset": dataset, "llm": llm, **group}
            for (judge, dataset, llm), group in groups.items()
        ],
        "truth": read_json(scorecard)["datasets"]["all"] if scorecard else {},
    }
