"""Files of responses and their corrections: reading them, and filtering their rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import FlagCreatePairsOff

from aligners.configuration import results
from aligners.core.errors import UserError
from aligners.core.reasons import ROW_REASONS
from aligners.core.rows import Row, iterate_rows, read_rows

STAGES = ("responses", "aligned", "external")
REQUIRED = ("id", "question", "response")
OPTIONAL = ("aligned_response", "scores", "trace")
# The optional field that a filter reads.
FIELD_OF_FILTER = {
    "changed": "aligned_response",
    "unchanged": "aligned_response",
    "acted": "trace",
    "rejected": "trace",
    "lower_than": "scores",
}


@dataclass(frozen=True)
class Filters:
    """Conditions on rows. A row matches if it meets all conditions that are given."""

    id: str | None = None
    """id of the row"""
    category: str | None = None
    """category of the question in results/inputs/; letter case is ignored"""
    search: str | None = None
    """text in the question, response or correction; letter case is ignored"""
    changed: FlagCreatePairsOff[bool] = False
    """rows whose correction differs from the response"""
    unchanged: FlagCreatePairsOff[bool] = False
    """rows whose correction equals the response"""
    acted: str | None = None
    """criterion whose aligner had a turn, whether the gate accepted or rejected it"""
    rejected: FlagCreatePairsOff[bool] = False
    """rows with a correction that the gate rejected"""
    lower_than: float | None = None
    """rows of a squad whose response has a score below this number"""

    def match(self, row: Row) -> bool:
        """Return whether a row meets all conditions."""
        return all(self.checks(row))

    def checks(self, row: Row) -> Iterator[bool]:
        """Yield for each condition that is given whether a row meets it."""
        if self.id is not None:
            yield row["id"] == self.id
        if self.category is not None:
            yield equal_names(row["category"] or "", self.category)
        if self.search is not None:
            texts = (row["question"], row["response"], row.get("aligned_response", ""))
            yield any(self.search.casefold() in text.casefold() for text in texts)
        if self.changed:
            yield row["aligned_response"] != row["response"]
        if self.unchanged:
            yield row["aligned_response"] == row["response"]
        if self.acted is not None:
            yield any(equal_names(turn["criterion"], self.acted) for turn in row["trace"])
        if self.rejected:
            yield any(not turn["accepted"] for turn in row["trace"])
        if self.lower_than is not None:
            scores = row["scores"].values()
            yield any(score is not None and score < self.lower_than for score in scores)


def equal_names(left: str, right: str) -> bool:
    """Return whether two names are equal; letter case is ignored."""
    return left.casefold() == right.casefold()


def read_corrections(path: Path, needs: Sequence[str] = ()) -> list[Row]:
    """Read a file of the stages responses, aligned or external.

    Args:
        path: of the file.
        needs: the fields that the caller reads besides `id`, `question` and `response`.

    Returns:
        Its rows with the fields `id`, `question`, `response` and `category` (None if it is not
        known). All rows have `aligned_response`, `scores` and `trace` if the first row has them;
        with `scores`, they have the `reason` of a squad.

    Raises:
        UserError: the file is of another kind, or a row is damaged.
    """
    if path.is_dir() or path.suffix == ".json":
        raise UserError(f"{path}: not a JSON Lines file; give a file that ends in .jsonl")
    first = next(iterate_rows(path), {})
    fields = [field for field in OPTIONAL if field in first or field in needs]
    rows = read_rows(path, [*REQUIRED, *fields])
    if "scores" in fields:
        check_reasons(rows, path)
    categories = question_categories(path)
    return [{**row, "category": categories.get(row["id"])} for row in rows]


def check_reasons(rows: Sequence[Row], path: Path) -> None:
    """Check that a squad's rows have a turn, or a reason why they have none.

    Raises:
        UserError: a row has both, or neither.
    """
    for row in rows:
        reason = row.get("reason", "")
        if reason is not None if row.get("trace") else reason not in ROW_REASONS:
            raise UserError(
                f"{path}: the row {row['id']} has the reason {reason!r}, but a row without turns "
                f"has one of {', '.join(ROW_REASONS)}, and a row with turns has null; delete the "
                "file and run again"
            )


def inputs_path(path: Path) -> Path | None:
    """Return the data set's results/inputs/{dataset}.jsonl, or None outside a results tree."""
    path = path.absolute()
    files = (results.ALIGNED, results.EXTERNAL, results.RESPONSES, results.RESPONSES_SHARD)
    for pattern in files:
        try:
            names = pattern.names(path)
        except ValueError:
            continue
        root = Path(path.as_posix().removesuffix(pattern.path(**names).as_posix()))
        return root / results.INPUTS.path(dataset=names["dataset"])
    return None


def question_categories(path: Path) -> dict[str, str | None]:
    """Return the categories of a data set's questions by id; empty if its inputs are missing."""
    inputs = inputs_path(path)
    if inputs is None or not inputs.is_file():
        return {}
    rows = iterate_rows(inputs, needs=("id", "category"))
    return {row["id"]: row["category"] for row in rows}


def check_filters(filters: Filters, rows: list[Row], path: Path) -> None:
    """Check that the rows have the fields, categories and criteria that the filters name.

    Raises:
        UserError: the rows lack one of them, or two filters exclude each other.
    """
    if filters.changed and filters.unchanged:
        raise UserError("--changed and --unchanged: they exclude each other; give only one of them")
    for name, field in FIELD_OF_FILTER.items():
        if getattr(filters, name) not in (None, False) and rows and field not in rows[0]:
            option = f"--{name.replace('_', '-')}"
            raise UserError(
                f"{option}: the rows of {path} have no field {field!r}; leave out {option}"
            )
    if filters.category is not None:
        categories = {row["category"] for row in rows} - {None}
        if not categories:
            raise UserError(
                f"--category: no categories are known for {path}, because "
                "results/inputs/{dataset}.jsonl is missing or has none; leave out --category"
            )
        check_name("category", filters.category, categories, path)
    if filters.acted is not None:
        criteria = {turn["criterion"] for row in rows for turn in row["trace"]}
        check_name("acted", filters.acted, criteria, path)


def check_name(option: str, name: str, known: set[str], path: Path) -> None:
    """Check that a name is among those in a file.

    Raises:
        UserError: the file has no such name.
    """
    if not any(equal_names(name, other) for other in known):
        choice = f"use one of {', '.join(sorted(known))}" if known else f"leave out --{option}"
        raise UserError(f"--{option} {name}: not in {path}; {choice}")
