"""Set the win rates that the paper's code reported beside ours, under the paper's protocol."""

from pathlib import Path

from aligners.core.errors import UserError
from aligners.core.program import run
from aligners.statistics.reproduction import (
    CELL,
    compare_with_reported,
    read_reported,
    reproduction_sections,
)
from aligners.statistics.table_files import write_csv, write_markdown
from aligners.statistics.verdicts import read_verdicts

NOTES = """\
The squad in the paper's order, answers cut at their first full stop, four of the 14 categories,
ties dropped. *Reported* are the figures of the paper's code, judged by GPT-4 through AlpacaEval 2;
they have neither n nor interval. *Ours* have n decided questions. Differences are in percentage
points. A tie is a mean preference of exactly 0.5 over both orders, also where these contradict each
other; judged in one order, as AlpacaEval does, fewer questions tie, and rates lie closer to 50%."""


def main(*, judge: str, reported: Path, verdicts: list[Path], csv: Path, markdown: Path) -> None:
    """Write the table as CSV and as Markdown.

    `verdicts` are the files {dataset}/{llm}/{backbone}/squad-paper/{reference}/verdicts.jsonl.
    """
    if not verdicts:
        raise UserError(
            "no data set of the configuration has numbered categories, which the paper's protocol "
            "needs; add one to datasets, such as beavertails"
        )
    cells = []
    for path in verdicts:
        dataset, llm, backbone, _, reference = path.parts[-6:-1]
        cell = dict(zip(CELL, (dataset, llm, backbone, reference), strict=True))
        cells.append((cell, read_verdicts(path)))
    compared = compare_with_reported(cells, read_reported(reported))
    write_csv(csv, compared)
    title = f"Reported win rates and ours, judged by {judge}"
    write_markdown(markdown, title, NOTES, reproduction_sections(compared))


if __name__ == "__main__":
    run(main)
