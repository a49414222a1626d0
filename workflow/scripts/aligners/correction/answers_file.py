"""Files of answers: their rows, and which of them are wanted."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tyro.conf import FlagCreatePairsOff

from aligners.core.errors import UserError
from aligners.core.rows import Row, read_rows

STAGES = ("responses", "aligned", "external")
REQUIRED = ("id", "question", "response")
OPTIONAL = ("aligned_response", "trace")
TURN = {"criterion", "before", "after", "accepted"}
# Filters that read an optional field.
READS = {
    "changed": "aligned_response",
    "unchanged": "aligned_response",
    "acted": "trace",
    "refused": "trace",
    "lower_than": "trace",
}


@dataclass(frozen=True)
class Filters:
    """Which rows are wanted: those for which everything holds that is given."""

    id: str | None = None
    """of the row"""
    category: str | None = None
    """of the question, as results/inputs/ has it"""
    search: str | None = None
    """text in the question or an answer, in any case"""
    changed: FlagCreatePairsOff[bool] = False
    """the answer was changed"""
    unchanged: FlagCreatePairsOff[bool] = False
    """the answer was left as it is"""
    acted: str | None = None
    """criterion whose aligner had a turn, accepted or refused"""
    refused: FlagCreatePairsOff[bool] = False
    """the answer of some aligner was refused"""
    lower_than: float | None = None
    """an inspector's score of the first answer is below; only rows with a turn carry scores"""

    def match(self, row: Row) -> bool:
        """Tell whether everything holds for a row."""
        return all(self.conditions(row))

    def conditions(self, row: Row) -> Iterator[bool]:
        """Yield for each filter that is given whether it holds for a row."""
        if self.id is not None:
            yield row["id"] == self.id
        if self.category is not None:
            yield same(row["category"] or "", self.category)
        if self.search is not None:
            texts = (row["question"], row["response"], row.get("aligned_response", ""))
            yield any(self.search.casefold() in text.casefold() for text in texts)
        if self.changed:
            yield row["aligned_response"] != row["response"]
        if self.unchanged:
            yield row["aligned_response"] == row["response"]
        if self.acted is not None:
            yield any(same(turn["criterion"], self.acted) for turn in row["trace"])
        if self.refused:
            yield any(not turn["accepted"] for turn in row["trace"])
        if self.lower_than is not None:
            scores = row["trace"][0]["before"] if row["trace"] else None
            yield any(score < self.lower_than for score in (scores or {}).values())


def same(left: str, right: str) -> bool:
    """Compare two names in any case."""
    return left.casefold() == right.casefold()


def read_answers(path: Path) -> list[Row]:
    """Read a file of answers of the stages responses, aligned or external.

    Returns:
        Its rows with the fields `id`, `question`, `response`, `category` (None where it is not
        known) and, where the first row has them, `aligned_response` and `trace`.

    Raises:
        UserError: not such a file, or damaged.
    """
    if path.is_dir() or path.suffix == ".json":
        raise UserError(f"{path}: not a file of rows; name one that ends in .jsonl")
    rows = read_rows(path)
    fields = [*REQUIRED, *(field for field in OPTIONAL if rows and field in rows[0])]
    for number, row in enumerate(rows, start=1):
        for field in fields:
            if field not in row or not is_right(field, row[field]):
                wrong = "is wrong" if field in row else "is missing"
                raise UserError(
                    f"{path}, row {number}: the field {field!r} {wrong}; give a file of answers, "
                    f"from results/{', results/'.join(STAGES)}"
                )
    categories = question_categories(path)
    return [{**row, "category": categories.get(row["id"])} for row in rows]


def is_right(field: str, value: object) -> bool:
    """Tell whether a field has what docs/data.md says of it: a text, or turns of aligners."""
    if field != "trace":
        return isinstance(value, str)
    return isinstance(value, list) and all(
        isinstance(turn, dict) and turn.keys() >= TURN for turn in value
    )


def inputs_path(path: Path) -> Path | None:
    """Return results/inputs/{dataset}.jsonl of a file of answers, None outside a results tree."""
    parts = path.absolute().parts
    stages = [number for number, part in enumerate(parts[:-2]) if part in STAGES]
    if not stages:
        return None
    return Path(*parts[: stages[-1]], "inputs", f"{parts[stages[-1] + 1]}.jsonl")


def question_categories(path: Path) -> dict[str, str | None]:
    """Return the categories of a data set's questions by id; none without its inputs."""
    inputs = inputs_path(path)
    if inputs is None or not inputs.is_file():
        return {}
    return {row["id"]: row["category"] for row in read_rows(inputs)}


def check_filters(filters: Filters, rows: list[Row], path: Path) -> None:
    """Check that the rows have what the filters read, and that the names are known there.

    Raises:
        UserError: they have not, or two filters exclude each other.
    """
    if filters.changed and filters.unchanged:
        raise UserError("--changed and --unchanged: no row is both; give one of them")
    for name, field in READS.items():
        if getattr(filters, name) not in (None, False) and rows and field not in rows[0]:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option}: the rows of {path} have no field {field!r}; leave it out")
    if filters.category is not None:
        categories = {row["category"] for row in rows} - {None}
        if not categories:
            raise UserError(
                f"--category: no categories are known for {path}; they are read from "
                "results/inputs/{dataset}.jsonl beside results/aligned; leave it out"
            )
        check_name("category", filters.category, categories, path)
    if filters.acted is not None:
        criteria = {turn["criterion"] for row in rows for turn in row["trace"]}
        check_name("acted", filters.acted, criteria, path)


def check_name(option: str, name: str, known: set[str], path: Path) -> None:
    """Check that a name is among those that a file has."""
    if not any(same(name, other) for other in known):
        has = ", ".join(sorted(known)) or "none"
        raise UserError(f"--{option} {name}: not in {path}, which has: {has}")
