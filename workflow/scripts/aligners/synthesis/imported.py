"""The rows of an import, read from its table."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice

from aligners.configuration.kinds.imports import (
    FileImportRecipe,
    HubImportRecipe,
    ImportRecipe,
    find_format,
)
from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.rows import Row, row_id
from aligners.core.tables import FIRST_RECORDS, Record, read_records
from aligners.imports.formats import TEXTS_OF_KIND, Format, grouped, read_record
from aligners.imports.hub import hub_records

# Columns with the id of a record, of which the first that a record has is kept.
ID_COLUMNS = ("id", "prompt_id", "conversation_id", "question_id", "uid")
# A dropped record is shown up to this length.
SHOWN_CHARACTERS = 1000


def import_rows(name: str, recipe: ImportRecipe) -> Iterator[Filtered]:
    """Yield each record of an import as a row of its kind, with the reason to drop it or None.

    Args:
        name: of the import.
        recipe: of the import.

    Yields:
        Rows with an id, which depends on their texts; the kind; the texts of the kind
        (`imports.formats`); the critique of a correction, if it has one; and where they come from.
        A row with the texts of an earlier one is dropped (`duplicate`).

    Raises:
        UserError: the table cannot be read, has no records, or does not have the recipe's columns.
    """
    assert isinstance(recipe, FileImportRecipe | HubImportRecipe)
    places = islice(records_of(recipe), recipe.rows)
    first = list(islice(places, FIRST_RECORDS))
    found = checked_format(name, recipe, first)
    seen: set[str] = set()
    for place in grouped(chain(first, places), found.together):
        row, reason = import_row(name, recipe, found, place)
        if reason is None and row["id"] in seen:
            reason = "duplicate"
        if reason is None:
            seen.add(row["id"])
        yield row, reason


def records_of(recipe: FileImportRecipe | HubImportRecipe) -> Iterator[Record]:
    """Return the records of an import, from a local file if the recipe has a path."""
    if recipe.path:
        return read_records(recipe.path)
    assert isinstance(recipe, HubImportRecipe)
    return hub_records(recipe.hub_table())


def checked_format(name: str, recipe: ImportRecipe, first: Sequence[Record]) -> Format:
    """Return the format of a table with these first records.

    Raises:
        UserError: there are none, or they do not have the recipe's columns.
    """
    path = f"config/imports/{name}.yaml"
    if not first:
        raise UserError(f"{path}: the table has no records; add some, or name another table")
    try:
        return find_format(recipe, [record for _, record in first])
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None


def import_row(name: str, recipe: ImportRecipe, found: Format, place: Record) -> Filtered:
    """Return the row of a record, and the reason to drop it or None (`duplicate` aside).

    A record of which no row can be made is shown as text, with its place.
    """
    where, record = place
    texts, reason = read_record(record, found, recipe.kind, recipe.turns)
    if not texts:
        shown = json.dumps(record, ensure_ascii=False, default=str)[:SHOWN_CHARACTERS]
        return {"id": row_id(where), "place": where, "record": shown}, reason
    row = {
        "id": row_id(*(texts[field] for field in TEXTS_OF_KIND[recipe.kind])),
        "kind": recipe.kind,
        **texts,
        **critique_of(recipe, record),
        "source": name,
    }
    if recipe.license is not None:
        row["license"] = recipe.license
    ids = (record.get(column) for column in ID_COLUMNS)
    if own := next((str(one) for one in ids if one is not None and one != ""), None):
        row["original_id"] = own
    return row, reason


def critique_of(recipe: ImportRecipe, record: Row) -> Row:
    """Return the field `critique` of a correction that has one."""
    critique = record.get("critique")
    has_one = recipe.kind == "corrections" and isinstance(critique, str)
    return {"critique": critique} if has_one else {}
