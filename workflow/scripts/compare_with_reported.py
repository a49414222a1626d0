"""Compare the win rates that the paper's code reported with ours, under the paper's protocol."""

from aligners.configuration import results
from aligners.configuration.combinations import combinations
from aligners.configuration.systems import SQUAD_PAPER
from aligners.configuration.workflow_files import find_file
from aligners.core.errors import UserError
from aligners.core.program import run
from aligners.statistics.reproduction import (
    compare_with_reported,
    read_reported,
    reproduction_sections,
)
from aligners.statistics.table_files import write_csv, write_markdown
from aligners.statistics.verdicts import read_verdicts

REPORTED = "resources/reported/win_rates.csv"
NOTES = """\
Protocol: the squad in the paper's order, first sentences except of external aligners, four of
the 14 categories, ties dropped. *Reported*: figures of the paper's code, judged by GPT-4
through AlpacaEval 2, without n and interval. *Ours*: n is the number of decided questions.
Differences are in percentage points. A tie is a mean preference of exactly 0.5 over both
orders, even if the orders contradict each other. AlpacaEval judges in one order only: then
fewer questions are ties, and rates are closer to 50%."""


def main(*, judge: str, names: str) -> None:
    """Write the table as CSV and as Markdown.

    Args:
        judge: name of the judge.
        names: JSON with lists of names: dataset (with numbered categories), llm, backbone,
            reference.
    """
    given = results.given_names(names, judge=judge, system=SQUAD_PAPER.name)
    cells = [
        (cell, read_verdicts(results.REPRODUCED_VERDICTS.path(**cell)))
        for cell in combinations(results.REPRODUCED_VERDICTS.fields, given)
    ]
    if not cells:
        raise UserError(
            "key datasets: no data set of the configuration has numbered categories, which the "
            "paper's protocol needs; add such a data set, for example beavertails"
        )
    compared = compare_with_reported(cells, read_reported(find_file(REPORTED)))
    write_csv(results.REPORTED_BESIDE_OURS.path(judge=judge, form="csv"), compared)
    write_markdown(
        results.REPORTED_BESIDE_OURS.path(judge=judge, form="md"),
        f"Reported win rates and ours, judged by {judge}",
        NOTES,
        reproduction_sections(compared),
    )


if __name__ == "__main__":
    run(main)
