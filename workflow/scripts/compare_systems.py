"""Reckon what the verdicts of one judge on one data set and base LLM come to."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from aligners.core.program import run
from aligners.core.rows import read_json, write_json
from aligners.statistics.alpaca_eval_rate import alpaca_eval_rate
from aligners.statistics.comparison import compare
from aligners.statistics.paired_tests import Group, PairedTest, paired_tests
from aligners.statistics.verdicts import read_verdicts


def main(
    *,
    judge: str,
    model_outputs: list[Path],
    reference_outputs: list[Path],
    verdicts: list[Path],
    comparisons: list[Path],
    tests: Path,
    seed: int,
) -> None:
    """Write the figures of each comparison, and the tests of systems against each other.

    The tests are corrected for the number of all that are written. `verdicts` are files in
    {dataset}/{llm}/{backbone}/{system}/{reference}/, and `comparisons` a file beside each; the
    AlpacaEval files are those of the same comparisons.
    """
    groups: dict[Group, dict[str, pd.DataFrame]] = {}
    files = zip(verdicts, comparisons, model_outputs, reference_outputs, strict=True)
    for path, output, ours, theirs in files:
        table = read_verdicts(path)
        names = dict(
            zip(
                ("dataset", "llm", "backbone", "system", "reference"),
                path.parts[-6:-1],
                strict=True,
            )
        )
        figures = compare(table, seed, against_base=names["reference"] == "base")
        own = alpaca_eval_rate(table, read_json(ours), read_json(theirs))
        write_json(output, {"judge": judge, **names, **asdict(figures), "alpaca_eval": asdict(own)})
        group = (names["backbone"], names["reference"])
        groups.setdefault(group, {})[names["system"]] = table
    write_json(tests, [as_row(test) for test in paired_tests(groups, seed)])


def as_row(test: PairedTest) -> dict[str, Any]:
    """Return a test of two systems, with what both were judged against."""
    backbone, reference = test.group
    figures = asdict(test)
    del figures["group"]
    return {"backbone": backbone, "reference": reference, **figures}


if __name__ == "__main__":
    run(main)
