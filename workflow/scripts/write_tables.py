"""Write the tables of a judge's verdicts: CSV, Markdown and LaTeX."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from aligners.core.program import run
from aligners.core.rows import read_json
from aligners.statistics import tables
from aligners.statistics.table_files import Section, write_csv, write_latex, write_markdown

INTERVALS = "Percentages with 95% intervals"
NOTES = {
    "win_rates": f"{INTERVALS}, and n, the number of questions. Ties count as half.",
    "categories": f"{INTERVALS}, and n, of the squad. Ties count as half.",
    "ablations": (
        f"{INTERVALS}. *length controlled* is the win rate at equal lengths; where there is none, "
        "the reason stands in the CSV. *harm rate*, against the base LLM alone: of the answers "
        "that the system changed, those whose original the judge prefers. *copy rate*: answers "
        "left as they were. *flip rate*: questions whose two orders name different answers. n is "
        "that of the win rate."
    ),
    "thresholds": (
        f"{INTERVALS}, of the squad against the base LLM. *acted*: answers that an aligner worked "
        "on; *changed*: answers that it changed."
    ),
    "paired_tests": (
        "Win rate of the first system less that of the second, in percentage points with 95% "
        "intervals, on the n questions that both have a verdict of. The adjusted p (Holm) is the "
        "one that counts."
    ),
}


def write_table(
    name: str, judge: str, table: pd.DataFrame, sections: Sequence[Section], directory: Path
) -> None:
    """Write one table in its three forms."""
    heading = f"{name.replace('_', ' ').capitalize()}, judged by {judge}"
    write_csv(directory / f"{name}.csv", table)
    write_markdown(directory / f"{name}.md", heading, NOTES[name], sections)
    write_latex(directory / f"{name}.tex", heading, sections)


def main(
    *,
    judge: str,
    comparisons: list[Path],
    paired_tests: list[Path],
    thresholds: list[Path],
    directory: Path,
) -> None:
    """Write every table of a judge to the directory.

    `comparisons` hold their own names; of `{dataset}/{llm}/paired_tests.json` and
    `{dataset}/{llm}/{backbone}/thresholds.csv` the path does.
    """
    compared = [read_json(path) for path in comparisons]
    tests, curves = [], []
    for path in paired_tests:
        place = dict(zip(["dataset", "llm"], path.parts[-3:-1], strict=True))
        tests.append((place, read_json(path)))
    for path in thresholds:
        place = dict(zip(["dataset", "llm", "backbone"], path.parts[-4:-1], strict=True))
        curves.append((place, pd.read_csv(path)))
    for name, table, shape in (
        ("win_rates", tables.win_rates(compared), tables.win_rate_sections),
        ("categories", tables.categories(compared), tables.category_sections),
        ("ablations", tables.ablations(compared), tables.ablation_sections),
        ("thresholds", tables.thresholds(curves), tables.threshold_sections),
        ("paired_tests", tables.paired_tests(tests), tables.paired_test_sections),
    ):
        write_table(name, judge, table, shape(table), directory)


if __name__ == "__main__":
    run(main)
