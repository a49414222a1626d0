"""Corrections of a table of responses, with a summary of what was done."""

import sys
from pathlib import Path

from aligners.core.program import INTERRUPTED
from aligners.correction.trace import WORDS
from aligners.squads.directory import find_squad
from aligners.squads.models import load_inference
from aligners.squads.response_files import Summary, Table, check_table, correct_table
from aligners.squads.squad import Squad

# Why a record has no texts (`aligners.imports.formats.read_record`).
UNREADABLE = {
    "not_text": "the question or the response is not a text",
    "no_prompt": "there is no response, or no question before it",
    "tool_call": "a message calls a tool",
}


def correct_and_report(table: Table, squad: str, output: Path, inference: Path | None) -> None:
    """Write the corrections of a table (`correct_table`), and print how many there are.

    Args:
        table: with the responses.
        squad: directory of the squad, or its repository on the Hub.
        output: file to write.
        inference: YAML file that says where the aligners generate; None for this process.
    """
    check_table(table, output)  # before the models are loaded, which takes longer
    engine = load_inference(inference)
    try:
        directory = find_squad(squad, None, shows_progress=True)
        with Squad.load(directory, inference=engine) as loaded:
            summary = correct_table(loaded, directory, table, output, engine)
    except KeyboardInterrupt:
        print("\ninterrupted; the same command continues after the last batch", file=sys.stderr)
        sys.exit(INTERRUPTED)
    print(described(summary), file=sys.stderr)
    print(output)


def described(summary: Summary) -> str:
    """Return the numbers of rows by action, and the reasons of those that were not corrected."""
    total = sum(summary.counts.values())
    lines = [f"{total} rows: {summary.of_action('corrected')} corrected"]
    for action in ("unchanged", "skipped"):
        lines.append(f"{summary.of_action(action)} {action}")
    if failed := summary.of_action("failed"):
        lines.append(f"{failed} failed")
    reasons = [
        f"  {count} {action}: {(WORDS | UNREADABLE).get(reason, reason)}"
        for (action, reason), count in summary.counts.most_common()
        if action != "corrected"
    ]
    return "\n".join([", ".join(lines), *reasons])
