"""Readers: each makes a row of a record in one format, by its columns.

A reader gets the record and the policy for chats with several turns (`conversations.Turns`). It
raises `Unusable` with the reason if the record cannot be used.
"""

import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from aligners.core.rows import Row
from aligners.core.tables import value_at
from aligners.imports.conversations import (
    ASSISTANT,
    SYSTEM,
    USER,
    Message,
    Turn,
    Turns,
    Unusable,
    last_turn,
    plain_text,
    question_of,
    read_messages,
    read_transcript,
)

TRUTH = {"true": True, "1": True, "false": False, "0": False}
# Makes a row of a record.
Read = Callable[[Row, Turns], Row]


def text(record: Row, column: str) -> str:
    """Return the text in a column; it may be missing.

    Raises:
        Unusable: `not_text`.
    """
    value = value_at(record, column)
    return "" if value is None else plain_text(value)


def joined(*texts: str) -> str:
    """Return the texts that are not empty, one below the other."""
    return "\n".join(one for one in texts if one)


def objects(record: Row, column: str) -> list[Row]:
    """Return the list of objects in a column.

    Raises:
        Unusable: `not_text`, if the value is no such list.
    """
    value = record[column]
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Unusable("not_text")
    return value


def columns_reader(**names: str) -> Read:
    """Return a reader that takes each field of a row from a column."""

    def read(record: Row, turns: Turns) -> Row:
        return {field: text(record, column) for field, column in names.items()}

    return read


def read_aligner(record: Row, turns: Turns) -> Row:
    """Read question, answer and correction; each may begin with its label ("Answer: ...")."""
    names = {"question": "question", "response": "answer", "aligned_response": "correction"}
    return {
        field: re.sub(rf"\A{column}:\s*", "", text(record, column), flags=re.IGNORECASE)
        for field, column in names.items()
    }


def chat_reader(column: str) -> Read:
    """Return a reader of the last turn of the chat in a column."""

    def read(record: Row, turns: Turns) -> Row:
        turn = last_turn(read_messages(record[column]), turns)
        return {"question": turn.question, "response": turn.response, **system_field(turn.system)}

    return read


def chat_question_reader(column: str) -> Read:
    """Return a reader of the last question of the chat in a column, answered or not."""

    def read(record: Row, turns: Turns) -> Row:
        messages = read_messages(record[column])
        system = "\n\n".join(one.text for one in messages if one.role == SYSTEM)
        chat = [one for one in messages if one.role != SYSTEM]
        while chat and chat[-1].role != USER:
            chat.pop()
        return {"question": question_of(chat, turns), **system_field(system)}

    return read


def system_field(system: str) -> Row:
    """Return the field of a system text; none without a text."""
    return {"system": system} if system else {}


def alpaca_question(record: Row) -> str:
    """Return the instruction with its input."""
    return joined(text(record, "instruction"), text(record, "input"))


def read_alpaca(record: Row, turns: Turns) -> Row:
    """Read instruction, input and output; earlier turns are in `history`, as pairs of texts."""
    if isinstance(record["output"], list):  # several responses, as in `alpaca-ranked`
        raise Unusable("not_text")
    history = record.get("history") or []
    if not isinstance(history, list) or not all(map(is_pair, history)):
        raise Unusable("not_text")
    messages = [
        Message(role, plain_text(each))
        for pair in history
        for role, each in zip((USER, ASSISTANT), pair, strict=True)
    ]
    question = question_of([*messages, Message(USER, alpaca_question(record))], turns)
    return {"question": question, "response": text(record, "output")}


def is_pair(value: Any) -> bool:
    """Return whether a value is a list of two."""
    return isinstance(value, list) and len(value) == 2


def read_alpaca_preference(record: Row, turns: Turns) -> Row:
    """Read chosen and rejected; in the old form, `output` is a list with the better one first."""
    better = record.get("output")
    chosen, rejected = (
        (plain_text(better[0]), plain_text(better[1]))
        if isinstance(better, list) and len(better) > 1
        else (text(record, "chosen"), text(record, "rejected"))
    )
    return {"question": alpaca_question(record), "chosen": chosen, "rejected": rejected}


def preference(prompt: Sequence[Message], chosen: Any, rejected: Any, turns: Turns) -> Row:
    """Return the row of two answers, each a message, a list of messages, or a text."""
    answers = [answer_text(each) for each in (chosen, rejected)]
    system = [one.text for one in prompt if one.role == SYSTEM]
    question = question_of([one for one in prompt if one.role != SYSTEM], turns)
    return {
        "question": question,
        "chosen": answers[0],
        "rejected": answers[1],
        **system_field("\n\n".join(system)),
    }


def answer_text(value: Any) -> str:
    """Return the text of an answer: of a text, a message, or a list that ends with one.

    Raises:
        Unusable: `not_text`, `tool_call` or `no_prompt`.
    """
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        return plain_text(value)
    messages = read_messages(value)
    if not messages or messages[-1].role != ASSISTANT:
        raise Unusable("no_prompt")
    return messages[-1].text


def read_trl_preference(record: Row, turns: Turns) -> Row:
    """Read prompt, chosen and rejected: texts or lists of messages."""
    prompt = record["prompt"]
    messages = (
        read_messages(prompt) if isinstance(prompt, list) else [Message(USER, plain_text(prompt))]
    )
    return preference(messages, record["chosen"], record["rejected"], turns)


def read_implicit_preference(record: Row, turns: Turns) -> Row:
    """Read chosen and rejected whose common beginning is the prompt: messages or transcripts."""
    chats = [
        read_messages(value) if isinstance(value, list) else read_transcript(plain_text(value))
        for value in (record["chosen"], record["rejected"])
    ]
    found = [last_turn(chat, turns) for chat in chats]
    before = [chat[: last_assistant(chat)] for chat in chats]
    if before[0] != before[1]:
        raise Unusable("prompts_differ")
    return {
        "question": found[0].question,
        "chosen": found[0].response,
        "rejected": found[1].response,
        **system_field(found[0].system),
    }


def last_assistant(chat: Sequence[Message]) -> int:
    """Return the index of the last message of the assistant."""
    return max(number for number, one in enumerate(chat) if one.role == ASSISTANT)


def read_sharegpt_preference(record: Row, turns: Turns) -> Row:
    """Read a chat of which chosen and rejected are the next turn."""
    return preference(
        read_messages(record["conversations"]), record["chosen"], record["rejected"], turns
    )


def read_arena(record: Row, turns: Turns) -> Row:
    """Read two chats and the name of the winner."""
    winner = str(record["winner"])
    if not winner.startswith("model_"):
        raise Unusable("tie")
    names = ["conversation_a", "conversation_b"]
    if winner == "model_b":
        names.reverse()
    chosen, rejected = (record[name] for name in names)
    return read_implicit_preference({"chosen": chosen, "rejected": rejected}, turns)


def safe_rlhf_reader(decides: str) -> Read:
    """Return a reader of PKU-SafeRLHF by one of its two preferences."""

    def read(record: Row, turns: Turns) -> Row:
        better = number(record[decides])
        if better not in (0, 1):
            raise Unusable("tie")
        return {
            "question": text(record, "prompt"),
            "chosen": text(record, f"response_{int(better)}"),
            "rejected": text(record, f"response_{1 - int(better)}"),
        }

    return read


def label_reader(column: str, response: str = "response") -> Read:
    """Return a reader of a prompt, a response and a truth value."""

    def read(record: Row, turns: Turns) -> Row:
        prompt = record["prompt"]
        if isinstance(prompt, list):
            turn = last_turn([*read_messages(prompt), Message(ASSISTANT, "?")], turns)
        else:
            turn = Turn(plain_text(prompt), "?")
        return {
            "question": turn.question,
            "response": answer_text(record[response]),
            **system_field(turn.system),
        }

    return labelled(read, column)


def labelled(read: Read, column: str) -> Read:
    """Return a reader that adds the `label` in a column: 1 for true, 0 for false.

    In a table of text, true is `true` or `1`.
    """

    def read_label(record: Row, turns: Turns) -> Row:
        value = value_at(record, column)
        if isinstance(value, str):
            value = TRUTH.get(value.strip().lower())
        if value is None or value not in (0, 1):  # True is 1.
            raise Unusable("no_label")
        return {**read(record, turns), "label": int(value)}

    return read_label


def read_chat_label(record: Row, turns: Turns) -> Row:
    """Read a chat with the truth value `kto_tag`."""
    column = "messages" if "messages" in record else "conversations"
    return labelled(chat_reader(column), "kto_tag")(record, turns)


def best_and_worst(question: str, rated: Iterable[tuple[str, float | None]]) -> Row:
    """Return the row of the best and the worst of some answers with their ratings.

    Raises:
        Unusable: `tie`, if all ratings are equal, or fewer than two are known.
    """
    known = [(rating, answer) for answer, rating in rated if rating is not None]
    if not known:
        raise Unusable("tie")
    best, worst = max(known, key=lambda one: one[0]), min(known, key=lambda one: one[0])
    if best[0] == worst[0]:
        raise Unusable("tie")
    return {"question": question, "chosen": best[1], "rejected": worst[1]}


def number(value: Any) -> float | None:
    """Return a number, which may be a text; None for "N/A", "nan" and the like."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def read_ultrafeedback(record: Row, turns: Turns) -> Row:
    """Read rated completions. The fine-grained score wins: an overall 1 became 10 in some rows."""
    rated = []
    for one in objects(record, "completions"):
        fine, overall = number(one.get("fine-grained_score")), number(one.get("overall_score"))
        rated.append((text(one, "response"), overall if fine is None else fine))
    return best_and_worst(text(record, "instruction"), rated)


def read_nectar(record: Row, turns: Turns) -> Row:
    """Read ranked answers, of which rank 1 is the best. The prompt is a transcript."""
    prompt = text(record, "prompt")
    messages = read_transcript(f"\n\n{prompt}") if "Human:" in prompt else [Message(USER, prompt)]
    while messages and not messages[-1].text:
        messages.pop()
    ranks = [(text(one, "answer"), number(one.get("rank"))) for one in objects(record, "answers")]
    rated = [(answer, None if rank is None else -rank) for answer, rank in ranks]
    return best_and_worst(question_of(messages, turns), rated)


def read_helpsteer2(record: Row, turns: Turns) -> Row:
    """Read the rated responses to one prompt, which are records of their own in the table.

    The helpfulness decides, as in the preferences that were published with the data.
    """
    rated = [(text(one, "response"), number(one.get("helpfulness"))) for one in record["records"]]
    return best_and_worst(text(record, "prompt"), rated)


def read_helpsteer3(record: Row, turns: Turns) -> Row:
    """Read two responses to a chat; a negative preference is for the first one."""
    value = number(record["overall_preference"])
    if not value:
        raise Unusable("tie")
    names = ["response1", "response2"] if value < 0 else ["response2", "response1"]
    chosen, rejected = (record[name] for name in names)
    return preference(read_messages(record["context"]), chosen, rejected, turns)


def read_helpsteer3_edit(record: Row, turns: Turns) -> Row:
    """Read an edited response to a chat."""
    turn = last_turn([*read_messages(record["context"]), Message(ASSISTANT, "?")], turns)
    return {
        "question": turn.question,
        "response": text(record, "original_response"),
        "aligned_response": text(record, "edited_response"),
        **system_field(turn.system),
    }
