"""The formats in which people have questions, responses, corrections, preferences and labels.

A format is found by its columns. Its reader makes rows of a kind of a record, and the kind decides
what can be trained on them:

- `questions`: question
- `responses`: question, response
- `corrections`: question, response, aligned_response (the correction)
- `preferences`: question, chosen, rejected
- `labels`: question, response, label (1: aligned, 0: misaligned)
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from aligners.core.rows import Row
from aligners.core.tables import column_names
from aligners.imports.conversations import Turns, Unusable
from aligners.imports.readers import (
    Read,
    alpaca_question,
    chat_reader,
    columns_reader,
    label_reader,
    read_alpaca,
    read_alpaca_preference,
    read_arena,
    read_chat_label,
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
TEXTS_OF_KIND: dict[Kind, tuple[str, ...]] = {
    "questions": ("question",),
    "responses": ("question", "response"),
    "corrections": ("question", "response", "aligned_response"),
    "preferences": ("question", "chosen", "rejected"),
    "labels": ("question", "response"),
}


@dataclass(frozen=True)
class Format:
    """A format of records.

    Attributes:
        name: for recipes and messages.
        columns: those that every record has.
        reads: the reader of each kind of row that the format has; the first kind is the usual one.
        fits: whether a record can be of this format, besides its columns.
    """

    name: str
    columns: tuple[str, ...]
    reads: Mapping[Kind, Read]
    fits: Callable[[Row], bool] = field(default=lambda record: True)


def is_chat(column: str) -> Callable[[Row], bool]:
    """Return a test of whether a column has a list of messages."""
    return lambda record: isinstance(record.get(column), list)


def is_transcript(record: Row) -> bool:
    """Return whether `chosen` is a transcript or a chat, which includes the prompt."""
    chosen = record["chosen"]
    return isinstance(chosen, list) or (
        isinstance(chosen, str) and "Assistant:" in chosen and "Human:" in chosen
    )


# The more columns, the more a format says about its records: of those that fit, the first with the
# most columns is meant.
FORMATS: tuple[Format, ...] = (
    Format(
        "aligner",
        ("question", "answer", "correction"),
        {
            "corrections": columns_reader(
                question="question", response="answer", aligned_response="correction"
            )
        },
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
        lambda record: not isinstance(record["output"], list),
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
        lambda record: not is_transcript(record) or isinstance(record["prompt"], list),
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
    Format("messages", ("messages",), {"responses": chat_reader("messages")}, is_chat("messages")),
    Format(
        "sharegpt",
        ("conversations",),
        {"responses": chat_reader("conversations")},
        is_chat("conversations"),
    ),
    Format(
        "columns",
        ("question", "response"),
        {"responses": columns_reader(question="question", response="response")},
    ),
)


def fitting(records: Sequence[Row], kind: Kind | None = None) -> list[Format]:
    """Return the formats that fit the records best, of one kind if it is given."""
    names = set(column_names(records))
    found = [
        one
        for one in FORMATS
        if names.issuperset(one.columns)
        and (kind is None or kind in one.reads)
        and all(map(one.fits, records))
    ]
    most = max((len(one.columns) for one in found), default=0)
    return [one for one in found if len(one.columns) == most]


def read_record(record: Row, found: Format, kind: Kind, turns: Turns) -> tuple[Row, str | None]:
    """Return the row of a record, and the reason to drop it or None.

    Reasons are those of `Unusable`, with an empty row, and `empty` (a text is empty) and `equal`
    (chosen and rejected are the same text).
    """
    try:
        row = found.reads[kind](record, turns)
    except Unusable as error:
        return {}, str(error)
    return row, reason_to_drop(row, kind)


def reason_to_drop(row: Row, kind: Kind) -> str | None:
    """Return the reason to drop a row, or None."""
    if not all(row[name].strip() for name in TEXTS_OF_KIND[kind]):
        return "empty"
    if kind == "preferences" and row["chosen"].split() == row["rejected"].split():
        return "equal"
    return None
