"""The route of LiteLLM's generic guardrail API: LiteLLM asks its LLMs, and sends texts here.

Before a call it sends the messages. Their question is kept by the call's id, because LiteLLM sends
the responses after the call without it. The guardrail therefore needs both modes, pre_call and
post_call.
"""

import json
import re
from collections import OrderedDict
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from aligners.serving.errors import ApiError, bad_request
from aligners.serving.exchange import Exchange
from aligners.serving.http.bodies import continues, question_of, read_messages, shown
from aligners.serving.http.replies import json_response, while_connected
from aligners.serving.models.client import SquadFailure
from aligners.serving.reasons import (
    CONTINUATION,
    JSON_MODE,
    MODEL_PROCESS,
    NO_QUESTION,
    NOT_TEXT,
    OVERLOAD,
    TOOL_CALLS,
)
from aligners.serving.routes.squad import start
from aligners.serving.service import Row, Service

AFFECTS_RESULTS = False

# The beginning of an object with a key, or of a list of objects or texts: few sentences begin so.
BEGINS_AS_JSON = re.compile(r'\s*(\{\s*"|\[\s*["{])')
# Questions that are kept; the oldest are forgotten first.
MOST_QUESTIONS = 10_000
# Characters of all questions together that are kept.
MOST_CHARACTERS = 50_000_000


@dataclass(frozen=True)
class AskedQuestion:
    """The question of a call, and why its responses are not examined."""

    text: str
    skip: str | None


class AskedQuestions:
    """The questions of calls whose responses have not arrived."""

    def __init__(self) -> None:
        self.by_call: OrderedDict[str, AskedQuestion] = OrderedDict()
        self.characters = 0

    def keep(self, call: str, question: AskedQuestion) -> None:
        """Keep the question of a call."""
        self.forget(call)
        self.by_call[call] = question
        self.characters += len(question.text)
        while len(self.by_call) > MOST_QUESTIONS or self.characters > MOST_CHARACTERS:
            self.forget(next(iter(self.by_call)))

    def forget(self, call: str) -> None:
        """Forget the question of a call, if it is kept."""
        forgotten = self.by_call.pop(call, None)
        if forgotten is not None:
            self.characters -= len(forgotten.text)

    def find(self, call: str) -> AskedQuestion | None:
        """Return the question of a call; it stays, because LiteLLM can send a stream in parts."""
        return self.by_call.get(call)


async def guard(request: Request) -> Response:
    """Answer LiteLLM before or after a call."""
    service, exchange, body = await start(request)
    questions: AskedQuestions = request.app.state.questions
    texts, call = body.get("texts"), body.get("litellm_call_id")
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise bad_request("texts is no list of texts", "bad_texts", "texts")
    match body.get("input_type"):
        case "request":
            if isinstance(call, str):
                questions.keep(call, asked_question(body, texts))
            return json_response({"action": "NONE"})
        case "response":
            asked = questions.find(call) if isinstance(call, str) else None
            rows = rows_of(body, texts, asked)
            return await while_connected(
                request.receive, corrected_texts(service, exchange, asked, rows)
            )
    raise bad_request(
        f"input_type is {shown(body.get('input_type'))}; give request or response",
        "bad_input_type",
        "input_type",
    )


def asked_question(body: dict[str, Any], texts: list[str]) -> AskedQuestion:
    """Return the question of the messages before a call."""
    if body.get("structured_messages"):
        messages = read_messages(body["structured_messages"])
        text, skip = question_of(messages)
        if skip is None and continues(body, messages):
            skip = CONTINUATION
    else:
        text, skip = (texts[-1], None) if texts else ("", NO_QUESTION)
    return AskedQuestion(text, NOT_TEXT if body.get("images") else skip)


def rows_of(body: dict[str, Any], texts: list[str], asked: AskedQuestion | None) -> list[Row]:
    """Return the responses of a call."""
    question, skip = (asked.text, asked.skip) if asked else ("", None)
    if body.get("tool_calls"):
        skip = TOOL_CALLS
    return [
        Row(question, text, skip or (JSON_MODE if is_json(text) else None), index)
        for index, text in enumerate(texts)
    ]


def is_json(text: str) -> bool:
    """Return whether a text is JSON that an application reads, or begins as such.

    LiteLLM does not send whether the request asked for JSON, nor whether the text was cut off. A
    number or a word alone is an ordinary response.
    """
    if BEGINS_AS_JSON.match(text):
        return True
    try:
        return isinstance(json.loads(text), list | dict)
    except (ValueError, RecursionError):
        return False


async def corrected_texts(
    service: Service, exchange: Exchange, asked: AskedQuestion | None, rows: list[Row]
) -> Response:
    """Return what LiteLLM makes of the responses of a call.

    A failure that refuses an answer is the action BLOCKED: LiteLLM can be configured to pass an
    error of a guardrail over.
    """
    if not rows:
        return json_response({"action": "NONE"})
    try:
        failure, due = None, sum(row.skip is None for row in rows)
        if asked is None:
            failure = SquadFailure(
                NO_QUESTION,
                "the question of this call is unknown; give the guardrail the modes pre_call and "
                "post_call",
            )
        elif service.squad.info is None:
            failure = SquadFailure(MODEL_PROCESS, "the squad is not loaded yet")
        elif not service.has_room(due):
            failure = SquadFailure(OVERLOAD, "too many responses wait for the squad")
        with nullcontext() if failure else service.room(due):
            verdicts = await service.examine_all(exchange, rows, failure=failure)
    except ApiError as error:
        service.note_error(exchange, error)
        return json_response({"action": "BLOCKED", "blocked_reason": error.error["message"]})
    if all(verdict.action != "corrected" for verdict in verdicts):
        return json_response({"action": "NONE"})
    texts = [verdict.text for verdict in verdicts]
    return json_response({"action": "GUARDRAIL_INTERVENED", "texts": texts})
