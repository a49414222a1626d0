"""Compute rates and tests from one judge's verdicts, for one data set and base LLM."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from aligners.configuration import results
from aligners.configuration.combinations import combinations
from aligners.core.errors import UserError
from aligners.core.program import run
from aligners.core.rows import Row, read_json, row_id, write_json
from aligners.evaluation.alpaca_eval_files import NamedOutput
from aligners.statistics.alpaca_eval_rate import alpaca_eval_rate
from aligners.statistics.comparison import compare
from aligners.statistics.paired_tests import Group, PairedTest, paired_tests
from aligners.statistics.verdicts import read_verdicts


def main(*, judge: str, dataset: str, llm: str, names: str, seed: int) -> None:
    """Write the rates of each comparison, and the tests of systems against each other.

    The p-values are corrected for the number of tests in the file.

    Args:
        judge: name of the judge.
        dataset: name of the data set.
        llm: name of the base LLM.
        names: JSON with lists of names: backbone, system, reference.
        seed: for the resampling.
    """
    given = results.given_names(names, judge=judge, dataset=dataset, llm=llm)
    groups: dict[Group, dict[str, pd.DataFrame]] = {}
    for comparison in combinations(results.COMPARISON.fields, given):
        path = results.VERDICTS.path(**comparison)
        verdicts = read_verdicts(path)
        ours = read_json(results.MODEL_OUTPUTS.path(**comparison), list[NamedOutput])
        theirs = read_json(results.REFERENCE_OUTPUTS.path(**comparison), list[NamedOutput])
        check_questions(verdicts, ours, path)
        rates = compare(verdicts, seed, against_base=comparison["reference"] == "base")
        alpaca_eval = alpaca_eval_rate(verdicts, ours, theirs)
        write_json(
            results.COMPARISON.path(**comparison),
            {**comparison, **asdict(rates), "alpaca_eval": asdict(alpaca_eval)},
        )
        group = (comparison["backbone"], comparison["reference"])
        groups.setdefault(group, {})[comparison["system"]] = verdicts
    tests = results.PAIRED_TESTS.path(judge=judge, dataset=dataset, llm=llm)
    write_json(tests, [as_row(test) for test in paired_tests(groups, seed)])


def check_questions(verdicts: pd.DataFrame, outputs: Sequence[Row], path: Path) -> None:
    """Check that the verdicts in the file `path` are on the questions of the compared outputs.

    Raises:
        UserError: a verdict is missing, or is on another question.
    """
    asked = [row_id(row["instruction"]) for row in outputs]
    if differing := sorted(set(asked) ^ set(verdicts["id"])):
        raise UserError(
            f"{path}: the verdicts are not on the questions of the AlpacaEval files; the first "
            f"question that only one of them has is {differing[0]}. Delete the file and run again; "
            "the replies of an LLM are kept"
        )


def as_row(test: PairedTest) -> dict[str, Any]:
    """Return a test of two systems as a row, with its backbone and reference."""
    backbone, reference = test.group
    figures = asdict(test)
    del figures["group"]
    return {"backbone": backbone, "reference": reference, **figures}


if __name__ == "__main__":
    run(main)
