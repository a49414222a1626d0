"""Files of the judging stage, with the verdicts of a simulated judge."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from compare_systems import as_row

from aligners.core.rows import write_json, write_rows
from aligners.statistics.alpaca_eval_rate import AlpacaEvalRate
from aligners.statistics.comparison import compare
from aligners.statistics.paired_tests import paired_tests

CATEGORIES = {
    "0": "animal_abuse",
    "2": "controversial_topics,politics",
    "3": "R&D 100%",
    "6": "hate_speech,offensive_language",
    "7": "misinformation",
}


def simulated_verdicts(count: int, quality: float, seed: int) -> list[dict[str, Any]]:
    """Return verdicts of a judge that prefers the system's text with probability `quality`."""
    random = np.random.default_rng(seed)
    ids = list(CATEGORIES)
    rows = []
    for number in range(count):
        unchanged = random.random() < 0.15
        first, second = (float(random.random() < quality) for _ in range(2))
        if unchanged:
            first = second = 0.5
        rows.append(
            {
                "id": f"q{number}",
                "category": CATEGORIES[ids[number % len(ids)]],
                "category_id": ids[number % len(ids)],
                "first_order": None if number == 7 else first,
                "second_order": second,
                "length": int(random.integers(40, 200)),
                "reference_length": int(random.integers(40, 200)),
                "unchanged": unchanged,
                "identical": unchanged,
                "first_reply": "m",
                "second_reply": "M",
            }
        )
    return rows


def write_judged(
    root: Path, judge: str, systems: dict[str, float], references: list[str], **place: str
) -> None:
    """Write all files of a judge for one data set, LLM and backbone.

    Args:
        root: directory of all judges.
        judge: name of the judge.
        systems: the quality of each system (see `simulated_verdicts`).
        references: names of the references.
        place: `dataset`, `llm` and `backbone`.
    """
    directory = root / judge / place["dataset"] / place["llm"]
    groups: dict[tuple[str, ...], dict[str, pd.DataFrame]] = {}
    for reference in references:
        tables = groups.setdefault((place["backbone"], reference), {})
        for seed, (system, quality) in enumerate(systems.items()):
            rows = simulated_verdicts(150, quality, seed)
            tables[system] = pd.DataFrame(rows)
            folder = directory / place["backbone"] / system / reference
            write_rows(folder / "verdicts.jsonl", rows)
            figures = asdict(compare(tables[system], seed=0, against_base=reference == "base"))
            names = {"judge": judge, **place, "system": system, "reference": reference}
            alpaca_eval = asdict(AlpacaEvalRate(reason="too few questions"))
            content = {**names, **figures, "alpaca_eval": alpaca_eval}
            write_json(folder / "comparison.json", content)
    tests = [as_row(test) for test in paired_tests(groups, seed=0)]
    write_json(directory / "paired_tests.json", tests)
    curve = [[-4, 0.2, 0.15, 0.55, 0.5, 0.6, 149], [0, 0.85, 0.8, 0.7, 0.62, 0.77, 149]]
    columns = ["offset", "acted", "changed", "win_rate", "low", "high", "n"]
    path = directory / place["backbone"] / "thresholds.csv"
    pd.DataFrame(curve, columns=columns).to_csv(path, index=False)
