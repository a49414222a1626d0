"""Reads the bodies of requests: their size, their JSON, and what they ask."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from aligners.serving.errors import ApiError, bad_request
from aligners.serving.reasons import CONTINUATION, JSON_MODE, NO_QUESTION, NOT_TEXT

AFFECTS_RESULTS = False

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# Parameters of vLLM and llama.cpp that force the answer into a grammar.
GRAMMARS = (
    "grammar",
    "json_schema",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "structured_outputs",
)
BODY_SECONDS = 60.0
# A client that still sends a body that is too large does not read the error before it has sent
# some of it.
DRAINED = 5
# Characters of a value in a message.
MOST_SHOWN = 80

Json = dict[str, Any]


@dataclass(frozen=True)
class ChatRequest:
    """What the server needs to know of a request for a chat completion.

    Attributes:
        question: the text of the last message of the user.
        skip: why no response to it is examined, one of `serving.reasons`; None if all are.
        choices: number of responses that it asks for.
        stream: whether it asks for a stream.
    """

    question: str
    skip: str | None
    choices: int
    stream: bool


def shown(value: Any) -> str:
    """Return a value of a request for a message; a long one is cut."""
    text = repr(value)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


async def read_body(request: Request, limit: int) -> bytes:
    """Return the body of a request.

    Raises:
        ApiError: it is too large, or does not arrive.
        ClientDisconnect: the client left.
    """
    parts: list[bytes] = []
    size = 0
    declared = request.headers.get("content-length", "")
    too_large = declared.isdecimal() and int(declared) > limit
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                size += len(part)
                too_large = too_large or size > limit
                if size > DRAINED * limit:
                    break
                if too_large:
                    parts.clear()
                else:
                    parts.append(part)
    except TimeoutError:
        raise ApiError(
            408, f"the body did not arrive within {BODY_SECONDS:g} seconds", "body_timeout"
        ) from None
    if too_large:
        raise ApiError(
            413,
            f"the body is larger than {limit} bytes, the limit of this server",
            "body_too_large",
            # The rest of the body is not read.
            headers={"connection": "close"},
        )
    return b"".join(parts)


def parse_object(body: bytes) -> Json:
    """Return a body as an object of JSON.

    Raises:
        ApiError: it is none.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        where = f"line {error.lineno}" if isinstance(error, json.JSONDecodeError) else "somewhere"
        raise bad_request(
            f"the body is not JSON (it fails in {where}); send an object of JSON in UTF-8",
            "invalid_json",
        ) from None
    if not isinstance(value, dict):
        raise bad_request("the body is not an object of JSON; send one", "invalid_json")
    return value


def read_chat(body: Json) -> ChatRequest:
    """Return what a request for a chat completion asks.

    Raises:
        ApiError: the request is invalid.
    """
    messages = read_messages(body.get("messages"))
    number = body.get("n")
    if number is not None and (
        not isinstance(number, int) or isinstance(number, bool) or number < 1
    ):
        raise bad_request(f"n is {shown(number)}; give an integer of at least 1", "invalid_n", "n")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise bad_request(
            f"stream is {shown(stream)}; give true or false", "invalid_stream", "stream"
        )
    question, skip = question_of(messages)
    check_unicode(question, "messages")
    if is_forced(body):
        skip = JSON_MODE
    elif skip is None and continues(body, messages):
        skip = CONTINUATION
    return ChatRequest(question, skip, number or 1, stream is True)


def read_messages(messages: Any) -> list[Json]:
    """Return the messages of a request.

    Raises:
        ApiError: there are none, or one is no message.
    """
    if not isinstance(messages, list) or not messages:
        raise bad_request(
            "there are no messages; give a list of at least one", "no_messages", "messages"
        )
    for number, message in enumerate(messages):
        check_message(message, f"messages[{number}]")
    return messages


def check_message(message: Any, place: str) -> None:
    """Check the role and the content of a message.

    Raises:
        ApiError: one is invalid.
    """
    if not isinstance(message, dict):
        raise bad_request(f"{place} is not an object; give role and content", "bad_message", place)
    role, content = message.get("role"), message.get("content")
    if role not in ROLES:
        raise bad_request(
            f"{place} has the role {shown(role)}; use one of {', '.join(ROLES)}",
            "unknown_role",
            f"{place}.role",
        )
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list) or not all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in content
    ):
        raise bad_request(
            f"{place} has a content that is neither text nor a list of parts with a type",
            "bad_content",
            f"{place}.content",
        )
    for number, part in enumerate(content):
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise bad_request(
                f"{place}.content[{number}] is a part of the type text without a text",
                "bad_content",
                f"{place}.content[{number}]",
            )


def question_of(messages: list[Json]) -> tuple[str, str | None]:
    """Return the question of a chat, and why no response to it is examined.

    It is the last message of the user that has a content. Where there is none, it is the last
    message that is not of the assistant or a tool. Otherwise a client could pass the squad by with
    another role, or with a message without content.
    """
    written = [message for message in messages if has_content(message)]
    asking = [message for message in written if message["role"] == "user"] or [
        message for message in written if message["role"] in ("system", "developer")
    ]
    if not asking:
        return "", NO_QUESTION
    content = asking[-1]["content"]
    if isinstance(content, str):
        return content, None
    text = "\n".join(part["text"] for part in content if part["type"] == "text")
    return text, NOT_TEXT if any(part["type"] != "text" for part in content) else None


def is_forced(body: Json) -> bool:
    """Return whether a request forces the answer into JSON or a grammar."""
    wanted = body.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    return kind not in (None, "text") or any(body.get(name) for name in GRAMMARS)


def continues(body: Json, messages: list[Json]) -> bool:
    """Return whether the response continues the last message, if that has a content."""
    last = messages[-1]
    is_open = last["role"] == "assistant" or bool(body.get("continue_final_message"))
    return is_open and has_content(last)


def has_content(message: Json) -> bool:
    """Return whether a message has a text that is not empty, or a part that is not text."""
    content = message.get("content")
    if not isinstance(content, list):
        return bool(content)
    return any(part["type"] != "text" or part["text"] for part in content)


def read_rows(body: Json) -> list[tuple[str, str]]:
    """Return the questions and responses of a request to align or to inspect.

    Raises:
        ApiError: one is missing or is no text.
    """
    if "rows" not in body:
        return [read_row(body, "")]
    rows = body["rows"]
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise bad_request("rows is not a list of at least one object", "bad_rows", "rows")
    return [read_row(row, f"rows[{number}].") for number, row in enumerate(rows)]


def read_row(row: Json, place: str) -> tuple[str, str]:
    """Return the question and the response of a row (`read_rows`)."""
    if "messages" in row and "question" in row:
        raise bad_request(
            f"{place}question and {place}messages are both given; give one of them",
            "two_questions",
            f"{place}question",
        )
    if "messages" in row:
        question, skip = question_of(read_messages(row["messages"]))
        if skip is not None:
            raise bad_request(
                f"{place}messages has no question as text ({skip}); end it with a message of the "
                "user",
                "no_question",
                f"{place}messages",
            )
    else:
        question = read_field(row, "question", place)
    response = read_field(row, "response", place)
    check_unicode(question, f"{place}question")
    check_unicode(response, f"{place}response")
    return question, response


def read_field(row: Json, name: str, place: str) -> str:
    """Return a text of a row.

    Raises:
        ApiError: it is missing, or no text.
    """
    text = row.get(name)
    if not isinstance(text, str):
        hint = " or messages" if name == "question" else ""
        raise bad_request(
            f"{place}{name} is missing or no text; give the {name}{hint}",
            f"no_{name}",
            f"{place}{name}",
        )
    return text


def check_unicode(text: str, place: str) -> None:
    """Check that a text has whole characters only, so that a squad can read it.

    Raises:
        ApiError: it has half of a surrogate pair.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise bad_request(
            f"{place} has half of a surrogate pair, which is no character; remove it",
            "invalid_unicode",
            place,
        ) from None
