"""Exports training sets, and prints what was written and what was left out."""

from pathlib import Path

from rich.console import Console
from rich.text import Text

from aligners.cli.scorecard import make_table
from aligners.core.formats import printable, whole
from aligners.export.files import export_training_sets
from aligners.export.formats import FormatName
from aligners.publishing.licenses import non_commercial


def export_and_report(criterion: str, name: FormatName, output: Path) -> None:
    """Write an export (`export_training_sets`), and print its rows by split, and licences.

    Raises:
        UserError: it cannot be written.
    """
    written = export_training_sets(criterion, name, output)
    console = Console(highlight=False)
    table = make_table(f"{name} of {', '.join(written.criteria)}", "split", "rows")
    table.add_column("left out")
    for split, left_out in written.left_out.items():
        reasons = ", ".join(f"{whole(n)} {reason}" for reason, n in left_out.items())
        table.add_row(split, whole(written.rows[split]), reasons or "0")
    console.print(table)
    if any("identity" in left_out for left_out in written.left_out.values()):
        console.print("identity: the correction equals the response, so none is preferred.")
    for license, rows in written.licenses.items():
        console.print(
            Text(printable(f"{whole(rows)} rows have the licence {license}.")), soft_wrap=True
        )
    if found := non_commercial(written.licenses):
        warning = f"Not for commercial use: rows with the licence {', '.join(found)}."
        console.print(Text(printable(warning), style="bold yellow"), soft_wrap=True)
    message = f"Written to {output}, with a card; to publish it: aligners push {output} --repo ..."
    console.print(Text(printable(message)), soft_wrap=True)
