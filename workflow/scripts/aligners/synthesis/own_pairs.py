"""Pairs that a criterion brings, in place of those that a teacher writes."""

from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.rows import Row, row_id
from aligners.core.tables import FIRST_RECORDS, Record, column_names, read_records
from aligners.imports.formats import FORMATS, Format, fitting, read_record


def own_pairs(criterion: str, table: Path) -> Iterator[Filtered]:
    """Yield each record of a table as a pair, with the reason to drop it or None.

    Args:
        criterion: of the pairs.
        table: with corrections, in a format of `aligners.imports.formats`. A column `critique` may
            be missing. Other columns are kept; `id` becomes `original_id`.

    Yields:
        Pairs whose id is that of their question. A second pair of a question is dropped
        (`duplicate`), and so is a record from which no pair can be read (`imports.formats`).

    Raises:
        UserError: the table cannot be read, has no record, or has no corrections.
    """
    records = read_records(table)
    first = list(islice(records, FIRST_RECORDS))
    if not first:
        raise UserError(f"{table}: the file has no pairs; add some")
    found = corrections_format(table, [record for _, record in first])
    seen: set[str] = set()
    for place in chain(first, records):
        pair, reason = read_pair(criterion, found, place)
        if reason is None and pair["id"] in seen:
            reason = "duplicate"
        if reason is None:
            seen.add(pair["id"])
        yield pair, reason


def corrections_format(table: Path, records: Sequence[Row]) -> Format:
    """Return the format of a table with corrections.

    Raises:
        UserError: it has none, or its columns fit several formats.
    """
    found = fitting(records, "corrections")
    if len(found) == 1:
        return found[0]
    known = "; ".join(
        f"{one.name}: {', '.join(one.columns)}" for one in FORMATS if "corrections" in one.reads
    )
    problem = (
        f"fits the formats {', '.join(one.name for one in found)}" if found else "has no pairs"
    )
    raise UserError(
        f"{table}: {problem}; its columns are {', '.join(column_names(records))}. Rename them to "
        f"those of one format ({known})"
    )


def read_pair(criterion: str, found: Format, place: Record) -> Filtered:
    """Return the pair of a record, and the reason to drop it or None (`duplicate` aside).

    A record from which no pair can be read has its own fields, and the id of its place.
    """
    where, record = place
    own = dict(record)
    if "id" in own:
        own["original_id"] = own.pop("id")
    texts, reason = read_record(record, found, "corrections", "last")
    if not texts:
        return {"id": row_id(where), "criterion": criterion, **own}, reason
    critique = own.pop("critique", None)
    pair = {
        "id": row_id(texts["question"]),
        "criterion": criterion,
        "question": texts["question"],
        "response": texts["response"],
        "critique": critique if isinstance(critique, str) else "",
        "aligned_response": texts["aligned_response"],
    }
    others = {name: value for name, value in own.items() if name not in {*found.columns, *pair}}
    return {**pair, **others}, reason
