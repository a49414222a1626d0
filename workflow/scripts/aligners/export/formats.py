"""The formats of an export: of which training set each is, and its columns.

The names `prompt-completion`, `preference` and `unpaired-preference` are those of trl's types of
data sets; `alpaca` and `messages` are those of most other trainers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

from aligners.core.rows import Row
from aligners.correction.input_format import PLAIN_FORMAT, fill
from aligners.synthesis.training_sets import is_identity

FormatName = Literal["prompt-completion", "preference", "unpaired-preference", "alpaca", "messages"]

# Alpaca has a place of its own for the task, so the texts have no label of the correction.
TASK = "Correct the answer to the question. If it needs no correction, repeat it."
TASK_INPUT = "Question: {question}\nAnswer: {response}"


@dataclass(frozen=True)
class Format:
    """A format of an export.

    Attributes:
        kind: the training set that it is made of, `aligner` or `inspector`.
        needs: the fields that it reads of a row of the set.
        columns: returns the format's own columns of a row.
        reason: returns why a row is left out, or None.
        about: what the rows are, for the card.
    """

    kind: str
    needs: tuple[str, ...]
    columns: Callable[[Row], Row]
    reason: Callable[[Row], str | None]
    about: str


def prompt_of(row: Row) -> str:
    """Return the prompt of an aligner with the plain format, as in the workflow's own training."""
    return fill(PLAIN_FORMAT.prompt, row["question"], row["response"])


def prompt_completion(row: Row) -> Row:
    """Return a row for finetuning an aligner: its prompt and its completion."""
    return {
        "prompt": prompt_of(row),
        "completion": PLAIN_FORMAT.completion(row["aligned_response"]),
    }


def preference(row: Row) -> Row:
    """Return a row for training an LLM: to its question, it is to prefer the correction."""
    return {
        "prompt": row["question"],
        "chosen": row["aligned_response"],
        "rejected": row["response"],
    }


def unpaired_preference(row: Row) -> Row:
    """Return a row of an inspector: a response, and whether it is aligned."""
    return {
        "prompt": row["question"],
        "completion": row["response"],
        "label": row["label"] == 1,
    }


def alpaca(row: Row) -> Row:
    """Return a row for finetuning an aligner in Alpaca's columns."""
    return {
        "instruction": TASK,
        "input": fill(TASK_INPUT, row["question"], row["response"]),
        "output": row["aligned_response"],
    }


def messages(row: Row) -> Row:
    """Return a row for finetuning an aligner that is a chat LLM."""
    return {
        "messages": [
            {"role": "user", "content": prompt_of(row)},
            {"role": "assistant", "content": row["aligned_response"]},
        ]
    }


def keep(row: Row) -> None:
    """Leave no row out."""


def identity_reason(row: Row) -> str | None:
    """Return a reason to leave out a row whose texts are equal, of which none is preferred."""
    return "identity" if is_identity(row) else None


PAIR = ("id", "question", "response", "aligned_response")
CORRECTIONS = (
    "Each row has a response to a question and its correction, for training a model that corrects "
    "responses. In some rows, the correction equals the response, because the response is good."
)

FORMATS: dict[FormatName, Format] = {
    "prompt-completion": Format("aligner", PAIR, prompt_completion, keep, CORRECTIONS),
    "preference": Format(
        "aligner",
        PAIR,
        preference,
        identity_reason,
        "Each row has a question, its response (`rejected`) and the correction (`chosen`), for "
        "training an LLM to prefer the correction.",
    ),
    "unpaired-preference": Format(
        "inspector",
        ("id", "question", "response", "label"),
        unpaired_preference,
        keep,
        "Each row has a response to a question, and whether it is aligned.",
    ),
    "alpaca": Format("aligner", PAIR, alpaca, keep, CORRECTIONS),
    "messages": Format("aligner", PAIR, messages, keep, CORRECTIONS),
}
assert tuple(FORMATS) == get_args(FormatName)
