"""The formats in which people have questions, responses, corrections, preferences and labels.

A format is found by its columns. Its reader makes rows of a kind of a record, and the kind decides
what can be trained on them:

- `questions`: question
- `responses`: question, response
- `corrections`: question, response, aligned_response (the correction)
- `preferences`: question, chosen, rejected
- `labels`: question, response, label (1: aligned, 0: misaligned)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Literal

from aligners.core.rows import Row
from aligners.core.tables import Record, column_names
from aligners.imports.conversations import Turns, Unusable
from aligners.imports.readers import (
    Read,
    alpaca_question,
    chat_question_reader,
    chat_reader,
    columns_reader,
    label_reader,
    labelled,
    read_aligner,
    read_alpaca,
    read_alpaca_preference,
    read_arena,
    read_chat_label,
    read_helpsteer2,
    read_helpsteer3,
    read_helpsteer3_edit,
    read_implicit_preference,
    read_nectar,
    read_sharegpt_preference,
    read_trl_preference,
    read_ultrafeedback,
    safe_rlhf_reader,
)

Kind = Literal["questions", "responses", "corrections", "preferences", "labels"]
# The kinds that have critique and correction, or two responses: they are pairs without a teacher.
KINDS_OF_PAIRS: tuple[Kind, ...] = ("corrections", "preferences")
# The kinds for which the teacher writes critique and correction.
KINDS_TO_CORRECT: tuple[Kind, ...] = ("questions", "responses")
TEXTS_OF_KIND: dict[Kind, tuple[str, ...]] = {
    "questions": ("question",),
    "responses": ("question", "response"),
    "corrections": ("question", "response", "aligned_response"),
    "preferences": ("question", "chosen", "rejected"),
    "labels": ("question", "response"),
}

MOST_CHARACTERS = 20_000


@dataclass(frozen=True)
class Format:
    """A format of records.

    Attributes:
        name: for recipes and messages.
        columns: those that every record has.
        reads: the reader of each kind of row that the format has; the first kind is the usual one.
        fits: whether a record can be of this format, besides its columns.
        together: column whose value consecutive records have in common if they are read as one: a
            record with the list of them in the field `records`.
    """

    name: str
    columns: tuple[str, ...]
    reads: Mapping[Kind, Read]
    fits: Callable[[Row], bool] = field(default=lambda record: True)
    together: str | None = None

    def reader(self, kind: Kind) -> Read | None:
        """Return the reader of a kind of row, or None if the records do not have its texts.

        A kind with fewer texts is read as one with more: a correction has a response too.
        """
        if kind in self.reads:
            return self.reads[kind]
        wanted = TEXTS_OF_KIND[kind]
        for other, read in self.reads.items():
            if kind != "labels" and set(TEXTS_OF_KIND[other]).issuperset(wanted):
                return only(read, (*wanted, "system"))
        return None

    def kinds(self) -> list[Kind]:
        """Return the kinds of row that the records can be read as; the first is the usual one."""
        others = (kind for kind in TEXTS_OF_KIND if kind not in self.reads and self.reader(kind))
        return [*self.reads, *others]


def only(read: Read, fields: Sequence[str]) -> Read:
    """Return a reader that leaves out the other fields."""

    def read_fields(record: Row, turns: Turns) -> Row:
        return {name: value for name, value in read(record, turns).items() if name in fields}

    return read_fields


def grouped(records: Iterable[Record], together: str | None) -> Iterator[Record]:
    """Yield the records, or one for each run of records with the same value in a column.

    That has the value, and the list `records`; its place is that of the first.
    """
    if together is None:
        yield from records
        return
    for value, group in groupby(records, key=lambda record: record[1].get(together)):
        members = list(group)
        yield members[0][0], {together: value, "records": [row for _, row in members]}


def is_chat(column: str) -> Callable[[Row], bool]:
    """Return a test of whether a column has a list of messages."""
    return lambda record: isinstance(record.get(column), list)


def is_transcript(record: Row) -> bool:
    """Return whether `chosen` is a transcript or a chat, which includes the prompt."""
    chosen = record.get("chosen")
    return isinstance(chosen, list) or (
        isinstance(chosen, str) and "Assistant:" in chosen and "Human:" in chosen
    )


# The more columns, the more a format says about its records: of those that fit, the first with the
# most columns is meant.
FORMATS: tuple[Format, ...] = (
    Format(
        "aligner",
        ("question", "answer", "correction"),
        {"corrections": read_aligner},
    ),
    Format(
        "pairs",
        ("question", "response", "aligned_response"),
        {
            "corrections": columns_reader(
                question="question", response="response", aligned_response="aligned_response"
            )
        },
    ),
    Format(
        "helpsteer3-edit",
        ("context", "original_response", "edited_response"),
        {"corrections": read_helpsteer3_edit},
    ),
    Format(
        "alpaca-preference",
        ("instruction", "chosen", "rejected"),
        {"preferences": read_alpaca_preference},
    ),
    Format(
        "alpaca-ranked",
        ("instruction", "output"),
        {"preferences": read_alpaca_preference},
        is_chat("output"),
    ),
    Format(
        "alpaca",
        ("instruction", "output"),
        {
            "responses": read_alpaca,
            "questions": lambda record, turns: {"question": alpaca_question(record)},
        },
        lambda record: not isinstance(record.get("output"), list),
    ),
    Format(
        "argilla",
        ("instruction", "chosen_response", "rejected_response"),
        {
            "preferences": columns_reader(
                question="instruction", chosen="chosen_response", rejected="rejected_response"
            )
        },
    ),
    Format(
        "intel",
        ("question", "chosen", "rejected"),
        {"preferences": columns_reader(question="question", chosen="chosen", rejected="rejected")},
    ),
    Format(
        "sharegpt-preference",
        ("conversations", "chosen", "rejected"),
        {"preferences": read_sharegpt_preference},
    ),
    Format(
        "trl-preference",
        ("prompt", "chosen", "rejected"),
        {"preferences": read_trl_preference},
        lambda record: not is_transcript(record) or isinstance(record.get("prompt"), list),
    ),
    Format(
        "transcripts",
        ("chosen", "rejected"),
        {"preferences": read_implicit_preference},
        is_transcript,
    ),
    Format("kto-chat", ("messages", "kto_tag"), {"labels": read_chat_label}, is_chat("messages")),
    Format(
        "kto-sharegpt",
        ("conversations", "kto_tag"),
        {"labels": read_chat_label},
        is_chat("conversations"),
    ),
    Format(
        "trl-unpaired",
        ("prompt", "completion", "label"),
        {"labels": label_reader("label", "completion")},
    ),
    Format(
        "safe-rlhf",
        ("prompt", "response_0", "response_1", "better_response_id", "safer_response_id"),
        {"preferences": safe_rlhf_reader("safer_response_id")},
    ),
    Format("beavertails", ("prompt", "response", "is_safe"), {"labels": label_reader("is_safe")}),
    Format(
        "ultrafeedback",
        ("instruction", "completions"),
        {"preferences": read_ultrafeedback},
        is_chat("completions"),
    ),
    Format("nectar", ("prompt", "answers"), {"preferences": read_nectar}, is_chat("answers")),
    Format(
        "helpsteer3",
        ("context", "response1", "response2", "overall_preference"),
        {"preferences": read_helpsteer3},
    ),
    Format("arena", ("conversation_a", "conversation_b", "winner"), {"preferences": read_arena}),
    Format(
        "helpsteer2",
        ("prompt", "response", "helpfulness", "correctness", "coherence"),
        {"preferences": read_helpsteer2},
        together="prompt",
    ),
    *(
        Format(
            name,
            (column,),
            {"responses": chat_reader(column), "questions": chat_question_reader(column)},
            is_chat(column),
        )
        for name, column in (("messages", "messages"), ("sharegpt", "conversations"))
    ),
    *(
        Format(
            f"{question}-{response}",
            (question, response),
            {"responses": columns_reader(question=question, response=response)},
        )
        for question in ("question", "prompt")
        for response in ("response", "answer", "completion")
    ),
    *(
        Format(f"{column}s", (column,), {"questions": columns_reader(question=column)})
        for column in ("question", "prompt", "instruction")
    ),
)
BY_NAME = {one.name: one for one in FORMATS}


def format_of_columns(kind: Kind, columns: Mapping[str, str]) -> Format:
    """Return the format of a table whose columns are named by the fields of a kind of row.

    Args:
        kind: of the rows.
        columns: the column, or the path into it, of each of the kind's texts, and of `label`.
    """
    texts = {name: columns[name] for name in TEXTS_OF_KIND[kind]}
    reader = columns_reader(**texts)
    if kind == "labels":
        reader = labelled(reader, columns["label"])
    return Format("columns", (), {kind: reader})


def fitting(records: Sequence[Row], kind: Kind | None = None) -> list[Format]:
    """Return the formats that fit the records best, of one kind if it is given.

    A format fits if half of the records can be of it: others are dropped with their reason.
    """
    names = set(column_names(records))
    found = [
        one
        for one in FORMATS
        if names.issuperset(one.columns)
        and (kind is None or one.reader(kind) is not None)
        and fits_most(one, records)
    ]
    most = max((len(one.columns) for one in found), default=0)
    return [one for one in found if len(one.columns) == most]


def fits_most(one: Format, records: Sequence[Row]) -> bool:
    """Return whether at least half of the records with values in a format's columns are of it.

    A few damaged records do not change how the others are read. They are dropped with a reason.
    """
    known = [
        record
        for record in records
        if all(record.get(column) is not None for column in one.columns)
    ]
    return 2 * sum(map(one.fits, known)) >= len(known)


def read_record(record: Row, found: Format, kind: Kind, turns: Turns) -> tuple[Row, str | None]:
    """Return the row of a record, and the reason to drop it or None.

    A column that the record lacks is as one without a value. A column `system` with a text is kept.
    Reasons are those of `Unusable`, with an empty row, and `empty` (a text is empty), `too_long`
    (a text has more than `MOST_CHARACTERS`) and `equal` (chosen and rejected are the same text).
    """
    read = found.reader(kind)
    assert read is not None, (found.name, kind)
    try:
        row = read({**dict.fromkeys(found.columns), **record}, turns)
    except Unusable as error:
        return {}, str(error)
    system = record.get("system")
    if isinstance(system, str) and system.strip():
        row.setdefault("system", system.strip())
    return row, reason_to_drop(row, kind)


def reason_to_drop(row: Row, kind: Kind) -> str | None:
    """Return the reason to drop a row, or None."""
    texts = [row[name] for name in TEXTS_OF_KIND[kind]]
    if not all(text.strip() for text in texts):
        return "empty"
    if max(map(len, texts)) > MOST_CHARACTERS:
        return "too_long"
    if kind == "preferences" and row["chosen"].split() == row["rejected"].split():
        return "equal"
    return None
