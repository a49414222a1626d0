"""Reads a question and a response from chats: lists of messages, and transcripts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

# What of a chat with several turns is the question: the last message, or all of them; with `drop`,
# only chats of one turn are used.
Turns = Literal["last", "joined", "drop"]

USER, ASSISTANT, SYSTEM, TOOL = "user", "assistant", "system", "tool"
# The names of roles in OpenAI's messages, ShareGPT and other sources.
ROLES = {
    **dict.fromkeys(("user", "human", "prompter", "customer"), USER),
    **dict.fromkeys(("assistant", "gpt", "bot", "model", "chatgpt", "ai", "agent"), ASSISTANT),
    **dict.fromkeys(("system", "developer"), SYSTEM),
    **dict.fromkeys(("tool", "function", "function_call", "observation", "tool_response"), TOOL),
}
TRANSCRIPT = re.compile(r"(?:\A|\n\n)(Human|Assistant):", re.MULTILINE)


class Unusable(ValueError):
    """A record that is not used. The message is the reason, as the counts name it."""


@dataclass(frozen=True)
class Message:
    """One message of a chat, with its role: user, assistant, system or tool."""

    role: str
    text: str


@dataclass(frozen=True)
class Turn:
    """A question with its response, and the system text before it; empty if there is none."""

    question: str
    response: str
    system: str = ""


def read_messages(value: Any) -> list[Message]:
    """Return the messages of a chat: objects with role and content, or with from and value.

    Raises:
        Unusable: `not_text` (a part is not text, or the value is not a list of messages), or
            `tool_call`.
    """
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Unusable("not_text")
    return [read_message(one) for one in value]


def read_message(value: dict[str, Any]) -> Message:
    """Return one message (see `read_messages`)."""
    role = ROLES.get(str(value.get("role", value.get("from"))).lower())
    if role is None:
        raise Unusable("not_text")
    if role == TOOL or value.get("tool_calls") or value.get("function_call"):
        raise Unusable("tool_call")
    return Message(role, plain_text(value.get("content", value.get("value"))))


def plain_text(value: Any) -> str:
    """Return a text; a list of parts ({type: text, text: ...}) is joined.

    Raises:
        Unusable: `not_text`, such as an image, a number, or nothing.
    """
    if isinstance(value, list):
        parts = [part.get("text") if isinstance(part, dict) else part for part in value]
        texts = [part for part in parts if isinstance(part, str)]
        if texts and len(texts) == len(parts):
            return "\n".join(texts).strip()
    if not isinstance(value, str):
        raise Unusable("not_text")
    return value.strip()


def read_transcript(text: str) -> list[Message]:
    """Return the messages of a transcript: "\\n\\nHuman: ...\\n\\nAssistant: ..." (HH-RLHF).

    Raises:
        Unusable: `no_prompt`, if it is none.
    """
    parts = TRANSCRIPT.split(text)
    if len(parts) < 3 or parts[0].strip():
        raise Unusable("no_prompt")
    roles, texts = parts[1::2], parts[2::2]
    return [
        Message(ROLES[role.lower()], each.strip()) for role, each in zip(roles, texts, strict=True)
    ]


def last_turn(messages: Sequence[Message], turns: Turns) -> Turn:
    """Return the last response of a chat, and as its question what comes before.

    Messages of the user after the last response are left out.

    Args:
        messages: of the chat, in order.
        turns: what the question of a chat with several turns is.

    Raises:
        Unusable: `no_prompt` (there is no response, or no question before it), or `several_turns`.
    """
    system = "\n\n".join(one.text for one in messages if one.role == SYSTEM)
    chat = [one for one in messages if one.role != SYSTEM]
    while chat and chat[-1].role != ASSISTANT:
        chat.pop()
    if not chat:
        raise Unusable("no_prompt")
    return Turn(question_of(chat[:-1], turns), chat[-1].text, system)


def question_of(before: Sequence[Message], turns: Turns) -> str:
    """Return the question of the messages before a response (see `last_turn`)."""
    if not before or before[-1].role != USER:
        raise Unusable("no_prompt")
    if len(before) == 1 or turns == "last":
        return before[-1].text
    if turns == "drop":
        raise Unusable("several_turns")
    names = {USER: "User", ASSISTANT: "Assistant"}
    return "\n\n".join(f"{names[one.role]}: {one.text}" for one in before)
