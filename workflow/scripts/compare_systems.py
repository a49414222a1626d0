"""Reckon what the verdicts of one judge on one data set and base LLM come to."""

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from aligners.alpaca_eval_rate import alpaca_eval_rate
from aligners.comparison_statistics import compare
from aligners.paired_tests import holm, paired_tests
from aligners.program import run
from aligners.rows import read_json, write_json
from aligners.verdicts import read_verdicts


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
    tables: dict[tuple[str, str], dict[str, pd.DataFrame]] = {}
    for path, output, ours, theirs in zip(
        verdicts, comparisons, model_outputs, reference_outputs, strict=True
    ):
        dataset, llm, backbone, system, reference = path.parts[-6:-1]
        table = read_verdicts(path)
        figures = compare(table, seed, against_base=reference == "base")
        names = {
            "judge": judge,
            "dataset": dataset,
            "llm": llm,
            "backbone": backbone,
            "system": system,
            "reference": reference,
        }
        own = alpaca_eval_rate(table, read_json(ours), read_json(theirs))
        write_json(output, {**names, **asdict(figures), "alpaca_eval": asdict(own)})
        tables.setdefault((backbone, reference), {})[system] = table
    found = [
        (backbone, reference, test)
        for (backbone, reference), systems in tables.items()
        for test in paired_tests(systems, seed)
    ]
    # The more tests a reader has before him, the more of them find something by chance.
    adjusted = holm([test.p_value for _, _, test in found])
    write_json(
        tests,
        [
            {
                "backbone": backbone,
                "reference": reference,
                **asdict(replace(test, adjusted=p_value)),
            }
            for (backbone, reference, test), p_value in zip(found, adjusted, strict=True)
        ],
    )


if __name__ == "__main__":
    run(main)
