"""Kept and dropped rows of a step. Every dropped row has a reason, and the counts add up."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field

from aligners.core.errors import UserError
from aligners.core.file_checks import Count
from aligners.core.rows import Row, row_writer, write_json

# A row, and the reason to drop it; None if it is kept.
Filtered = tuple[Row, str | None]


class Counts(BaseModel):
    """The content of a counts file."""

    rows_in: Annotated[Count, Field(alias="in")]
    out: Count
    dropped: dict[str, Count]
    replaced: dict[str, Count] = {}


class FilterResult:
    """Writes the kept and the dropped rows of a step as they come, and counts them.

    Attributes:
        kept: number of kept rows.
        dropped: number of dropped rows by reason.
        replaced: number of kept or dropped rows with a text that was replaced, by cause.
    """

    def __init__(self, write_dropped: Callable[[Row], object]):
        """Use a function that writes a dropped row."""
        self.write_dropped = write_dropped
        self.kept, self.dropped, self.replaced = 0, Counter[str](), Counter[str]()

    def drop(self, row: Row, reason: str) -> None:
        """Write a dropped row with the reason in it."""
        self.write_dropped({**row, "reason": reason})
        self.dropped[reason] += 1

    def write(
        self,
        rows: Iterable[Filtered],
        output: Path,
        rows_of: Callable[[Row], Sequence[Row]] = lambda row: [row],
        may_be_empty: bool = False,
    ) -> None:
        """Write the rows without a reason to `output`, and drop the others.

        Args:
            rows: each with the reason to drop it, or None.
            output: file of the kept rows.
            rows_of: the rows that are written for a kept row.
            may_be_empty: whether the next step can do without a row.

        Raises:
            UserError: no row is kept.
        """
        before = self.kept
        with row_writer(output) as write:
            for row, reason in rows:
                if reason is not None:
                    self.drop(row, reason)
                    continue
                for written in rows_of(row):
                    write(written)
                self.kept += 1
            if self.kept == before and not may_be_empty:
                raise UserError(f"{output}: {self.no_row_is_left()}")

    def no_row_is_left(self) -> str:
        """Return what is wrong, and what to do."""
        if not self.dropped:
            return "the step before has no row for this file; ask for more rows"
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())
        return (
            f"no row is left for this file; dropped: {reasons}. docs/data.md explains the reasons; "
            "correct their cause, or ask for more rows"
        )

    def counts(self) -> dict[str, Any]:
        """Return the content of the counts file: rows in = rows out + rows dropped by reason."""
        replaced = {cause: count for cause, count in sorted(self.replaced.items()) if count}
        return {
            "in": self.kept + self.dropped.total(),
            "out": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            **({"replaced": replaced} if replaced else {}),
        }


@contextmanager
def filter_result(counts: Path, dropped: Path) -> Iterator[FilterResult]:
    """Yield the result of a step; at the end, write its counts and dropped rows."""
    with row_writer(dropped) as write:
        result = FilterResult(write)
        yield result
    write_json(counts, result.counts())


def write_filtered(
    rows: Iterable[Filtered],
    output: Path,
    given: int | None = None,
    may_be_empty: bool = False,
    replaced: Counter[str] | None = None,
) -> None:
    """Write <name>.jsonl with the kept rows, <name>.dropped.jsonl and <name>.counts.json.

    Args:
        rows: each with the reason to drop it, or None.
        output: file of the kept rows.
        given: number of rows that the step was given, if each is kept or dropped.
        may_be_empty: whether the next step can do without a row.
        replaced: counts the texts that are replaced while the rows come.

    Raises:
        UserError: no row is kept, or a given row is neither kept nor dropped.
    """
    counts, dropped = output.with_suffix(".counts.json"), output.with_suffix(".dropped.jsonl")
    if given is not None:
        rows = check_number(rows, given, output)
    with filter_result(counts, dropped) as result:
        if replaced is not None:
            result.replaced = replaced
        result.write(rows, output, may_be_empty=may_be_empty)


def check_number(rows: Iterable[Filtered], given: int, output: Path) -> Iterator[Filtered]:
    """Yield the rows, and check that they are as many as the step was given.

    Raises:
        UserError: they are not.
    """
    found = 0
    for row in rows:
        found += 1
        yield row
    if found != given:
        raise UserError(
            f"{output}: {given} rows came in, but {found} were kept or dropped, so the input has "
            "changed meanwhile; run again"
        )


def separate(rows: Iterable[Filtered]) -> tuple[list[Row], list[Row]]:
    """Return the kept rows, and the dropped rows with the reason in each."""
    kept, dropped = [], []
    for row, reason in rows:
        if reason is None:
            kept.append(row)
        else:
            dropped.append({**row, "reason": reason})
    return kept, dropped
