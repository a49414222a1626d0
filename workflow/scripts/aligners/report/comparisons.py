"""What the page says of the comparisons: rates, tests, and the closed world's truth."""

from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from aligners.core.rows import read_json


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
    for group in groups.values():
        rows = [row for against in group["against"].values() for row in against]
        group["categories"] = any(row["by_category"] for row in rows)
        # Most have none: it asks for AlpacaEval's own questions (alpaca_eval_rate).
        group["alpaca_eval"] = any(row["alpaca_eval"]["rate"] is not None for row in rows)
    return {
        "count": len(comparisons),
        "groups": [
            {"judge": judge, "dataset": dataset, "llm": llm, **group}
            for (judge, dataset, llm), group in groups.items()
        ],
        "alpaca_eval": any(group["alpaca_eval"] for group in groups.values()),
        "truth": read_truth(scorecard) if scorecard else {},
    }


def read_truth(scorecard: Path) -> dict[str, list[dict[str, Any]]]:
    """Return the answers of each LLM and of the systems on it, with the closed world's rates.

    Each has a `name`, which for the LLM's own is that of the reference, and `clean` and `harm`,
    on known facts and, as `unknown_clean` and `unknown_harm`, on unknown ones; None if it has none.
    """
    return {
        llm: [
            {
                "name": "base" if name == "initial" else name,
                "clean": clean,
                "harm": scores["harm_rate"].get(name),
                "unknown_clean": scores["unknown_facts"]["clean_share"][name],
                "unknown_harm": scores["unknown_facts"]["harm_rate"].get(name),
            }
            for name, clean in scores["clean_share"].items()
        ]
        for llm, scores in read_json(scorecard)["datasets"]["all"].items()
    }
