"""A conversation in the terminal with an LLM behind a squad: before, after, and why."""

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from rich.console import Console
from rich.text import Text

from aligners.cli.show import (
    has_colour,
    last_scores,
    mark_changes,
    print_field,
    print_scores,
    trace_lines,
)
from aligners.core.api_keys import read_api_key
from aligners.core.errors import UserError
from aligners.core.formats import printable, printable_lines
from aligners.core.http_environment import explained_environment
from aligners.core.program import INTERRUPTED
from aligners.squads.correction import Correction
from aligners.squads.directory import find_squad
from aligners.squads.models import load_inference
from aligners.squads.squad import Squad

QUESTION, RESPONSE = "question> ", "response> "
NEW = "/new"
# An LLM may think for minutes before it responds.
SECONDS = 600.0

Messages = list[dict[str, str]]


@dataclass
class Upstream:
    """The server of the LLM, with OpenAI's API.

    Attributes:
        url: of the API, such as http://127.0.0.1:8080/v1.
        model: name of the LLM on the server.
        key_variable: environment variable with the API key; if it is empty or not set, no key is
            sent.
    """

    url: str
    model: str
    key_variable: str
    client: httpx2.Client = field(init=False)

    def __post_init__(self) -> None:
        """Make the client, which connects later.

        Raises:
            UserError: the environment names a proxy or certificates that cannot be used.
        """
        with explained_environment(f"--upstream {self.url}"):
            self.client = httpx2.Client(timeout=SECONDS)

    def respond(self, messages: Messages) -> str:
        """Return the LLM's response to a conversation.

        Raises:
            UserError: the server cannot be reached, or does not give a text.
        """
        # A local server needs no key.
        has_key = bool(os.environ.get(self.key_variable, "").strip())
        key = read_api_key(self.key_variable, "--key-variable") if has_key else None
        try:
            reply = self.client.post(
                f"{self.url.rstrip('/')}/chat/completions",
                json={"model": self.model, "messages": messages},
                headers={"Authorization": f"Bearer {key}"} if key else {},
            )
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise UserError(
                f"{self.url}: the LLM's server cannot be reached ({type(error).__name__}); start "
                "it, or correct --upstream"
            ) from None
        if reply.status_code != httpx2.codes.OK:
            shown = printable(reply.text[:300])
            raise UserError(f"{self.url}: the server responded with {reply.status_code}: {shown}")
        try:
            text = reply.json()["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            text = None
        if not isinstance(text, str):
            raise UserError(f"{self.url}: the server's reply has no text; correct --upstream")
        return text


def load_and_chat(name: str, inference: Path | None, upstream: Upstream | None) -> None:
    """Load a squad and hold a conversation (`chat`); Ctrl-C ends the process.

    Args:
        name: directory of the squad, or its repository on the Hub.
        inference: YAML file that says where the aligners generate; None for this process.
        upstream: server of the LLM; None to type the responses.
    """
    engine = load_inference(inference)
    try:
        directory = find_squad(name, None, shows_progress=True)
        with Squad.load(directory, inference=engine) as squad:
            chat(squad, upstream)
    except KeyboardInterrupt:
        print(file=sys.stderr)  # ends the line with the ^C of the terminal
        sys.exit(INTERRUPTED)


def chat(squad: Squad, upstream: Upstream | None) -> None:
    """Read questions until the end of the input, and print what the squad makes of the responses.

    Without an upstream, the responses are read too, a line each. The LLM gets the corrected
    conversation. An error of the upstream is printed, and the conversation continues without that
    question.
    """
    console = Console(highlight=False)
    console.print(f"{NEW} begins a new conversation, Ctrl+D ends.", style="dim")
    messages: Messages = []
    while question := read_line(console, QUESTION):
        if question == NEW:
            messages = []
            continue
        asked = [*messages, {"role": "user", "content": question}]
        try:
            response = upstream.respond(asked) if upstream else read_line(console, RESPONSE)
            if response is None:
                return
            correction = squad.correct(question, response)
        except UserError as error:
            console.print(Text(f"error: {error}", style="red"))
            continue
        print_correction(console, response, correction)
        messages = [*asked, {"role": "assistant", "content": correction.text}]


def read_line(console: Console, prompt: str) -> str | None:
    """Return the next line that a person types and that is not empty; None at the end."""
    while True:
        try:
            line = console.input(prompt, markup=False).strip()
        except (EOFError, KeyboardInterrupt):
            console.print()
            return None
        if line:
            return line


def print_correction(console: Console, response: str, correction: Correction) -> None:
    """Print a response before and after the squad, the scores, and each turn or why none was."""
    before, after = mark_changes(
        printable_lines(response), printable_lines(correction.text), not has_colour(console)
    )
    print_field(console, "before", before)
    print_scores(console, correction.scores)
    print_field(console, "after", after)
    print_scores(console, last_scores(correction.trace))
    reason = None if correction.trace else correction.reason
    for number, line in enumerate(trace_lines(correction.trace, reason)):
        print_field(console, "" if number else "why", line)
    console.print()
