"""Corrections of a table of responses, with a summary of what was done."""

import sys
from pathlib import Path

from aligners.correction.trace import WORDS
from aligners.squads.directory import find_squad
from aligners.squads.response_files import Summary, Table, correct_table
from aligners.squads.squad import Squad


def correct_and_report(
    path: Path, squad: str, output: Path, question: str | None, response: str | None
) -> None:
    """Write the corrections of a table (`correct_table`), and print how many there are."""
    directory = find_squad(squad, None)
    loaded = Squad.load(directory)
    summary = correct_table(loaded, directory, Table(path, question, response), output)
    print(described(summary), file=sys.stderr)
    print(output)


def described(summary: Summary) -> str:
    """Return the numbers of rows by action, and the reasons of those that were not corrected."""
    total = sum(summary.counts.values())
    lines = [f"{total} rows: {summary.of_action('corrected')} corrected"]
    for action in ("unchanged", "skipped"):
        lines.append(f"{summary.of_action(action)} {action}")
    reasons = [
        f"  {count} {action}: {WORDS.get(reason, reason)}"
        for (action, reason), count in summary.counts.most_common()
        if action != "corrected"
    ]
    return "\n".join([", ".join(lines), *reasons])
