"""Keys of servers with OpenAI's API, for LLMs and for aligners."""

import shlex
from typing import Annotated, Literal, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, JsonValue

from aligners.configuration.fields import (
    Few,
    Form,
    Line,
    NotDeciding,
    Positive,
    Section,
    WrongKey,
    differ,
    shortened,
)

AFFECTS_RESULTS = False

LeftOut = Literal["temperature", "top_p", "top_k", "stop", "seed"]
# Parameters that each request has its own value of, or without which its reply cannot be read.
OWN_PARAMETERS = ("model", "prompt", "messages", "n", "stream", "seed")
# Keys of recipes for parameters that `extra` must not set a second time.
KEYS_OF_PARAMETERS = {
    "chat_template_kwargs": "template_options",
    "max_tokens": "max_new_tokens",
    "max_completion_tokens": "max_new_tokens",
    "temperature": "temperature",
    "stop": "stop",
    "response_format": "structured_output",
}


def has_a_host(url: str) -> str:
    """Return a URL of a server.

    Raises:
        ValueError: it is not one.
    """
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # such as a port that is no number
        is_valid = False
    if not is_valid or " " in url or not url.isprintable():
        raise ValueError(
            f"{shortened(url)} is not a URL that begins with http:// or https:// and has a host; "
            "correct it"
        )
    return url


def has_shell_syntax(command: str) -> str:
    """Return a command that can be split into words.

    Its program is not looked for: it can be in the jobs' environment or on their node alone.

    Raises:
        ValueError: a quote is not closed.
    """
    try:
        shlex.split(command)
    except ValueError as error:
        raise ValueError(f"{shortened(command)} is not a command: {error}; correct it") from None
    return command


def only_more(parameters: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return additional parameters of a request.

    Raises:
        ValueError: they contain one that the workflow sets itself, or that has a key.
    """
    for name in parameters:
        if name in OWN_PARAMETERS:
            raise WrongKey(name, f"the workflow sets the parameter {name} itself; remove it")
        if key := KEYS_OF_PARAMETERS.get(name):
            raise WrongKey(name, f"the key {key} sets the parameter {name}; use {key} instead")
    return parameters


def is_free(parameter: str) -> str:
    """Return the name of a parameter that no other key sets.

    Raises:
        ValueError: another key sets it, or the workflow itself.
    """
    if parameter in (*OWN_PARAMETERS, *KEYS_OF_PARAMETERS, *get_args(LeftOut)):
        raise ValueError(
            f"{parameter} is no parameter for a penalty, and is set already; correct it"
        )
    return parameter


class ServerSection(Section):
    """How requests are sent to a server."""

    limit_parameter: NotDeciding[Literal["max_tokens", "max_completion_tokens"]] = "max_tokens"
    """Name of the request parameter for the maximum number of tokens of a completion."""
    penalty_parameter: NotDeciding[Annotated[Line, AfterValidator(is_free)]] = "repetition_penalty"
    """Name of the request parameter for the repetition penalty. llama.cpp and Ollama call it
    `repeat_penalty`. A job with a penalty first checks that the server uses the parameter."""
    leave_out: Annotated[list[LeftOut], AfterValidator(differ)] | None = None
    """Parameters that are not sent, because the server rejects them. Without `temperature`, the
    server decides how it samples. Without `stop`, texts still end before a stop string, but the
    server writes to the limit."""
    extra: Annotated[dict[str, JsonValue], AfterValidator(only_more)] = Field(default_factory=dict)
    """Additional parameters of each request, with the names of the server's API. A key of a recipe
    for the same parameter, such as `top_p`, overrides it."""
    concurrency: NotDeciding[Few] = 64
    """Maximum number of requests at the same time."""
    requests_per_minute: NotDeciding[Positive | None] = None
    """Maximum number of requests in a minute. `null`: no limit."""
    tokens_per_minute: NotDeciding[Positive | None] = None
    """Maximum number of tokens in a minute: the tokens of the prompts and the tokens that will be
    generated. `null`: no limit."""
    timeout_seconds: NotDeciding[Positive] = 600.0
    """Maximum time for a reply. After this time, the request is sent again."""
    longest_wait_seconds: NotDeciding[Positive] = 3600.0
    """Maximum time for which the job waits if the server asks it to wait (status 429). After this
    time without a completion, the job sends its requests again for a minute, and stops if none of
    them is accepted."""
    attempts: NotDeciding[Few] = 12
    """Maximum number of times that a request is sent before it counts as failed. Between two
    attempts, the job waits for a random time: at most 0.05 s at first, then at most twice as long
    each time, up to a minute. If the server asks the job to wait (status 429), this does not count
    as an attempt."""
    request_seconds: NotDeciding[Positive | None] = None
    """Maximum time for a request with all its attempts and waits. After this time, it counts as
    failed. `null`: no limit."""


Url = Annotated[Line, AfterValidator(has_a_host)]
Variable = Annotated[
    str, Form(r"^[A-Za-z_][A-Za-z0-9_]{0,99}$", "the name of an environment variable")
]
Command = Annotated[
    str, Form(r"\{port\}", "a command with {port} in it"), AfterValidator(has_shell_syntax)
]
UrlPath = Annotated[str, Form(r"^/\S*$", "a path that begins with /")]


class EndpointSection(Section):
    """Where a running server is."""

    endpoint: NotDeciding[Url | None] = None
    """URL of the API. It usually ends in /v1."""
    key_variable: NotDeciding[Variable | None] = None
    """Name of the environment variable that contains the API key. `null`: no key is sent."""


class CommandSection(Section):
    """How a job starts a server."""

    command: NotDeciding[Command | None] = None
    """Command that starts the server. The job replaces {model}, {revision}, {port}, {gpus} (the
    number of GPUs of the job) and {workflow} (the directory of the workflow)."""
    health: NotDeciding[UrlPath] = "/health"
    """Path at which the server returns status 200 when it is ready."""
    startup_seconds: NotDeciding[Positive] = 1800.0
    """Maximum time until the server is ready."""
