"""Ways in which a file of rows, or a JSON file, can be damaged."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Row = dict[str, Any]

# Values that no field has that is a text.
NO_TEXTS = {
    "null": None,
    "NaN": float("nan"),
    "number": 5,
    "truth value": True,
    "list": ["a"],
    "object": {"a": "b"},
}


# Fields that can be null.
NULLABLE = ("category", "category_id")


@dataclass(frozen=True)
class Mutation:
    """A damaged file.

    Attributes:
        name: what is damaged.
        content: of the file.
        line: where an error has to be found in a file of rows; None if it depends on the program
            whether there is one.
    """

    name: str
    content: bytes
    line: int | None = None


def mutate_rows(
    rows: Sequence[Row], needs: Sequence[str], repeated_ids: bool = False
) -> Iterator[Mutation]:
    """Yield damaged versions of a file of rows, of which a program needs some fields.

    The second row is damaged, if there are two. `repeated_ids`: an id may occur several times.
    """
    lines = [json.dumps(row, ensure_ascii=False).encode() for row in rows]
    place = min(1, len(rows) - 1)
    row, line = rows[place], lines[place]

    def with_line(name: str, damaged: bytes, is_error: bool = True) -> Mutation:
        changed = [*lines[:place], damaged, *lines[place + 1 :]]
        return Mutation(name, b"\n".join(changed) + b"\n", place + 1 if is_error else None)

    for field in row:
        is_needed = field in needs
        without = {name: value for name, value in row.items() if name != field}
        yield with_line(f"{field} missing", json.dumps(without).encode(), is_needed)
        for name, value in NO_TEXTS.items():
            if is_text(row[field]) and not (value is None and field in NULLABLE):
                damaged = json.dumps({**row, field: value}).encode()
                # NaN is no JSON, in any field.
                yield with_line(f"{field} is {name}", damaged, is_needed or name == "NaN")
    for name, damaged in {
        "half a line": line[: len(line) // 2],
        "empty object": b"{}",
        "array": b"[" + line + b"]",
        "text": b'"text"',
        "number": b"5",
        "null": b"null",
        "two objects in a line": line + line,
        "not UTF-8": line[:-2] + b'\xff"}',
        "NUL byte": line[:-2] + b'\x00"}',
        "NUL bytes": b"\x00" * len(line),
        "half of a surrogate pair": line[:-1] + b', "more": "\\ud83d"}',
        "half of a surrogate pair in a name": line[:-1] + b', "\\udc00": 1}',
        "thousands of brackets": line[:-1] + b', "more": ' + b"[" * 50_000,
        "thousands of digits": line[:-1] + b', "more": ' + b"9" * 5000 + b"}",
        "byte order mark": b"\xef\xbb\xbf" + line if place else b"5",
    }.items():
        yield with_line(name, damaged, name != "empty object" or bool(needs))
    whole = b"\n".join(lines) + b"\n"
    yield Mutation("empty file", b"")
    yield Mutation("byte order mark at the start", b"\xef\xbb\xbf" + whole)
    yield Mutation("Windows line ends", whole.replace(b"\n", b"\r\n"))
    yield Mutation("empty lines", whole.replace(b"\n", b"\n\n"))
    yield Mutation("last row missing", b"\n".join(lines[:-1]) + b"\n")
    yield Mutation("another order", b"\n".join(lines[::-1]) + b"\n")
    if "id" in needs and not repeated_ids:
        again = json.dumps({**rows[0], "question": "Is it another one?"}).encode()
        yield Mutation("id again", whole + again + b"\n", len(rows) + 1)
        new = json.dumps({**rows[0], "id": "ffffffffffffffff"}).encode()
        yield Mutation("row of another question", whole + new + b"\n")


def is_text(value: object) -> bool:
    return isinstance(value, str)


def mutate_json(value: Any) -> Iterator[Mutation]:
    """Yield damaged versions of a JSON file."""
    whole = json.dumps(value).encode()
    yield Mutation("half a file", whole[: len(whole) // 2])
    yield Mutation("empty file", b"")
    yield Mutation("not UTF-8", whole + b"\xff")
    yield Mutation("NUL byte", whole + b"\x00")
    yield Mutation("half of a surrogate pair", b'{"a": "\\ud83d"}')
    yield Mutation("thousands of brackets", b"[" * 50_000)
    for name, other in {"null": None, "number": 5, "text": "a", "list": [5], "object": {}}.items():
        yield Mutation(name, json.dumps(other).encode())
    for name, damaged in mutate_values(value):
        yield Mutation(name, json.dumps(damaged).encode())


def mutate_values(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield copies of a value in which a key is missing or has another type, at each level."""
    if isinstance(value, list) and value:
        yield from ((name, [changed, *value[1:]]) for name, changed in mutate_values(value[0]))
    if not isinstance(value, dict):
        return
    for key in value:
        without = {name: other for name, other in value.items() if name != key}
        yield f"{key} missing", without
        for name, other in {"null": None, "text": "a", "list": [[]], "object": {"a": []}}.items():
            yield f"{key} is {name}", {**value, key: other}
        for name, changed in mutate_values(value[key]):
            yield f"{key}: {name}", {**value, key: changed}
