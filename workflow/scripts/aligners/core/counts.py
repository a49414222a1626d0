"""Where every row of a step went: kept, or dropped for a reason. No row vanishes."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aligners.core.rows import Row, write_json, write_rows


@dataclass
class Sieve:
    """Collects the rows that a step keeps and those it drops, with the reason of each."""

    kept: list[Row] = field(default_factory=list)
    dropped: list[Row] = field(default_factory=list)

    def keep(self, row: Row) -> None:
        """Pass a row on."""
        self.kept.append(row)

    def drop(self, row: Row, reason: str) -> None:
        """Set a row aside with its reason."""
        self.dropped.append({**row, "reason": reason})

    def put(self, row: Row, reason: str | None) -> None:
        """Keep the row if there is no reason against it, else drop it."""
        if reason is None:
            self.keep(row)
        else:
            self.drop(row, reason)


def write_counts(
    kept: Sequence[Row], dropped: Sequence[Row], counts_path: Path, dropped_path: Path
) -> None:
    """Write the dropped rows, and the counts: rows in, rows out, rows dropped by reason.

    They add up: in = out + dropped.
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
    """Write the kept rows to `<name>.jsonl`, and beside it `<name>.dropped.jsonl` and
    `<name>.counts.json`."""
    write_counts(
        sieve.kept,
        sieve.dropped,
        output.with_suffix(".counts.json"),
        output.with_suffix(".dropped.jsonl"),
    )
    write_rows(output, sieve.kept)
