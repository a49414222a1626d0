"""Kept and dropped rows of a step. Every dropped row has a reason, and the counts add up."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aligners.core.rows import Row, write_json, write_rows


@dataclass
class Sieve:
    """The rows that a step keeps, and the rows that it drops with a reason for each."""

    kept: list[Row] = field(default_factory=list)
    dropped: list[Row] = field(default_factory=list)

    def keep(self, row: Row) -> None:
        """Keep a row."""
        self.kept.append(row)

    def drop(self, row: Row, reason: str) -> None:
        """Drop a row, and record the reason in it."""
        self.dropped.append({**row, "reason": reason})

    def put(self, row: Row, reason: str | None) -> None:
        """Drop the row if there is a reason, else keep it."""
        if reason is None:
            self.keep(row)
        else:
            self.drop(row, reason)


def write_counts(
    kept: Sequence[Row], dropped: Sequence[Row], counts_path: Path, dropped_path: Path
) -> None:
    """Write the dropped rows and the counts: rows in, rows out, rows dropped by reason.

    The number of rows in equals the rows out plus the dropped rows.
    """
    reasons = Counter(row["reason"] for row in dropped)
    counts = {
        "in": len(kept) + len(dropped),
        "out": len(kept),
        "dropped": dict(sorted(reasons.items())),
    }
    write_rows(dropped_path, dropped)
    write_json(counts_path, counts)


def write_sieve(sieve: Sieve, output: Path) -> None:
    """Write <name>.jsonl with the kept rows, <name>.dropped.jsonl and <name>.counts.json."""
    write_counts(
        sieve.kept,
        sieve.dropped,
        output.with_suffix(".counts.json"),
        output.with_suffix(".dropped.jsonl"),
    )
    write_rows(output, sieve.kept)
