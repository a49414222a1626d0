"""Write the tables of a judge's verdicts: CSV, Markdown and LaTeX."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from aligners.configuration import results
from aligners.configuration.combinations import combinations
from aligners.core.program import run
from aligners.core.rows import read_json
from aligners.statistics import tables
from aligners.statistics.comparison import NamedComparison
from aligners.statistics.paired_tests import NamedTest
from aligners.statistics.table_files import (
    Section,
    read_numbers,
    write_csv,
    write_latex,
    write_markdown,
)

INTERVALS = "Percentages with 95% intervals"
NOTES = {
    "win_rates": f"{INTERVALS}, and n, the number of questions. Ties count as half.",
    "categories": f"{INTERVALS}, and n, of the squad. Ties count as half.",
    "ablations": (
        f"{INTERVALS}. *length controlled*: win rate at equal lengths; if it is missing, the CSV "
        "gives the reason. *harm rate*, only against the base LLM: share of the changed responses "
        "that the judge prefers to their correction. *copy rate*: share of responses left "
        "unchanged. *flip rate*: share of questions for which the judge prefers different answers "
        "in the two orders, among those judged in both orders. n is that of the win rate."
    ),
    "thresholds": (
        f"{INTERVALS}, of the squad against the base LLM, if aligners acted only on texts whose "
        "log odds are below the threshold by more than the offset, in logits. *acted*: share of "
        "responses on which an aligner acted. *changed*: share of responses that changed."
    ),
    "paired_tests": (
        "Win rate of the first system minus that of the second, in percentage points with 95% "
        "intervals, on the n questions for which both have a verdict. Read the adjusted p-value "
        "(Holm), not the raw one; the interval is not adjusted."
    ),
}
SEEDS_NOTE = (
    "With ±: the mean over the training seeds and their standard deviation. A backbone's name "
    "stands for the first seed; with the ending .seed1, for the seed 1. The CSV has a line for "
    "each seed."
)


def main(*, judge: str, names: str) -> None:
    """Write all tables of a judge.

    Args:
        judge: name of the judge.
        names: JSON with lists of names: dataset, llm, backbone, system, reference, traced.
    """
    given = results.given_names(names, judge=judge)
    compared = [
        read_json(results.COMPARISON.path(**place), NamedComparison)
        for place in combinations(results.COMPARISON.fields, given)
    ]
    tests = [
        (place, read_json(results.PAIRED_TESTS.path(**place), list[NamedTest]))
        for place in combinations(results.PAIRED_TESTS.fields, given)
    ]
    curves = [
        (place, read_numbers(results.THRESHOLDS.path(**place), tables.THRESHOLDS))
        for place in combinations(
            results.THRESHOLDS.fields, results.spanned(results.THRESHOLDS, given)
        )
    ]
    for name, table, make_sections in (
        ("win_rates", tables.win_rates(compared), tables.win_rate_sections),
        ("categories", tables.categories(compared), tables.category_sections),
        ("ablations", tables.ablations(compared), tables.ablation_sections),
        ("thresholds", tables.thresholds(curves), tables.threshold_sections),
        ("paired_tests", tables.paired_tests(tests), tables.paired_test_sections),
    ):
        write_table(name, judge, table, make_sections(table))


def write_table(name: str, judge: str, table: pd.DataFrame, sections: Sequence[Section]) -> None:
    """Write one table in its three forms."""
    heading = f"{name.replace('_', ' ').capitalize()}, judged by {judge}"
    notes = f"{NOTES[name]} {SEEDS_NOTE}" if "seeds" in table else NOTES[name]
    path = partial(results.TABLE.path, judge=judge, table=name)
    write_csv(path(form="csv"), table)
    write_markdown(path(form="md"), heading, notes, sections)
    write_latex(path(form="tex"), heading, sections)


if __name__ == "__main__":
    run(main)
