"""Data of one's own: the imports of a criterion, joined, and what becomes of each kind of row."""

from collections.abc import Container, Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path

from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.file_checks import find_field_problem
from aligners.core.rows import Row, iterate_rows, row_id
from aligners.imports.formats import KINDS_OF_PAIRS, KINDS_TO_CORRECT, TEXTS_OF_KIND

# What a row keeps of where it comes from.
PROVENANCE = ("source", "license", "original_id")


def join_imports(
    criterion: str, files: Sequence[Path], asked: Container[str]
) -> Iterator[Filtered]:
    """Yield the rows of a criterion's imports, with the reason to drop each or None.

    Args:
        criterion: of the rows.
        files: the rows of each import (`imported.import_rows`).
        asked: the ids of the questions that the teacher writes.

    Yields:
        Rows whose id is that of their question: there is one pair of a question. A second row of a
        question is dropped (`duplicate`). Then labelled rows, whose id depends on question and
        response; `question_id` is the id of their question.
    """
    rows = chain.from_iterable(map(iterate_imported, files))
    seen: set[str] = set()
    for row in rows:
        if row["kind"] == "labels":
            continue
        question = row_id(row["question"])
        is_new = question not in seen and question not in asked
        seen.add(question)
        yield {**row, "id": question, "criterion": criterion}, None if is_new else "duplicate"
    labelled: set[str] = set()
    for row in chain.from_iterable(map(iterate_imported, files)):
        if row["kind"] != "labels":
            continue
        is_new = row["id"] not in labelled
        labelled.add(row["id"])
        known = {**row, "question_id": row_id(row["question"]), "criterion": criterion}
        yield known, None if is_new else "duplicate"


def iterate_imported(path: Path) -> Iterator[Row]:
    """Yield imported rows, each with the fields of its kind (`iterate_kinds`)."""
    return iterate_kinds(path, ("id", "question", "kind"))


def iterate_kinds(path: Path, needs: Sequence[str] = ("id", "question")) -> Iterator[Row]:
    """Yield rows with a kind, or questions of the teacher, each with the fields of its kind.

    Args:
        path: of the rows.
        needs: fields that each row has.

    Raises:
        UserError: the file cannot be read, or a row lacks a field or has another type in it.
    """
    for number, row in enumerate(iterate_rows(path, needs=needs), start=1):
        problem = find_field_problem(row, ("kind",)) if "kind" in row else None
        if problem is None and "kind" in row:
            more = ("label",) if row["kind"] == "labels" else ()
            problem = find_field_problem(row, (*TEXTS_OF_KIND[row["kind"]], *more))
        if problem is not None:
            raise UserError(
                f"{path}, line {number}: {problem}; delete the file and run again to recreate it"
            )
        yield row


def needs_pair(row: Row) -> bool:
    """Return whether the teacher writes a pair for a question: its own, or an imported one."""
    return row.get("kind", "questions") in KINDS_TO_CORRECT


def questions_to_pair(files: Iterable[Path]) -> list[Row]:
    """Return the questions for which the teacher writes pairs, of a criterion's files."""
    return [row for row in chain.from_iterable(map(iterate_kinds, files)) if needs_pair(row)]


def distinct_questions(files: Iterable[Path]) -> list[Row]:
    """Return the id and the text of each question in a criterion's files, once."""
    questions: dict[str, Row] = {}
    for path in files:
        for row in iterate_rows(path, needs=("id", "question")):
            question = str(row.get("question_id", row["id"]))
            questions.setdefault(question, {"id": question, "question": row["question"]})
    return list(questions.values())


def pair_of(row: Row) -> Row | None:
    """Return the pair of an imported correction or preference; None for a row of another kind."""
    kind = row.get("kind")
    if kind not in KINDS_OF_PAIRS:
        return None
    response, correction = (
        ("response", "aligned_response") if kind == "corrections" else ("rejected", "chosen")
    )
    return {
        "id": row["id"],
        "criterion": row["criterion"],
        "question": row["question"],
        "response": row[response],
        "critique": row.get("critique", ""),
        "aligned_response": row[correction],
        "kind": kind,
        **provenance(row),
    }


def provenance(row: Row) -> Row:
    """Return the fields that say where a row comes from, of those that it has."""
    return {name: row[name] for name in PROVENANCE if name in row}
