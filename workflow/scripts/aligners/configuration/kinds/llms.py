"""LLMs: language models that respond to questions, write the data, or judge."""

from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from aligners.configuration.fields import (
    File,
    Form,
    Name,
    NotDeciding,
    Recipe,
    Section,
    Text,
    differ,
)
from aligners.configuration.kinds.pretrained import Dtype, PretrainedRecipe

DECIDES = False


def has_host_and_port(url: str) -> str:
    """Return a URL that names a host, and a port if it has a colon.

    Raises:
        ValueError: it does not.
    """
    try:
        parts = urlsplit(url)
        complete = bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets without an IPv6 address, or a port that is no port
        complete = False
    if not complete or not url.isprintable() or " " in url:
        raise ValueError(f"{url!r} is not a URL with a host, such as https://host:8000/v1")
    return url


Stops = Annotated[list[Annotated[str, Field(min_length=1)]], AfterValidator(differ)]


class Responses(Section):
    """How an LLM responds to the test questions."""

    prompt: Annotated[str, Form(r"\{question\}", "a text with {question} in it")] = (
        "Question: {question}\nAnswer:"
    )
    """Text that a base LLM continues. It contains {question}. A chat LLM gets the question as a
    message instead."""
    max_new_tokens: int = Field(256, ge=1)
    """Maximum number of tokens of a response."""
    repetition_penalty: float = Field(1.0, gt=0)
    """Repetition penalty. 1 means no penalty."""
    stop: Stops = Field(default_factory=list)
    """Stop strings. A response ends before the first of them."""


class Prices(Section):
    """Prices of a million tokens, for usage files and estimates."""

    input: float = Field(ge=0)
    """Price of a million tokens of prompts."""
    output: float = Field(ge=0)
    """Price of a million tokens of completions."""
    currency: str = "USD"
    """Currency of the prices."""


class LLMRecipe(Recipe):
    """A language model. The key `engine` decides which other keys exist."""

    folder: ClassVar[str] = "llms"

    engine: str
    """How the completions are computed: `transformers` loads the model in the job, `served` starts
    a server in the job, `openai` sends requests to a running server, `closed-world` is the program
    that replaces an LLM in the closed world."""
    chat: bool = False
    """If `true`, the LLM gets messages through its chat template. If `false`, it continues plain
    text."""
    finetuned: Name | None = None
    """Only for a base LLM: name of its finetuned partner, the chat LLM whose responses are compared
    with the corrections."""
    require_all: NotDeciding[bool] = True
    """If `true`, a stage stops if requests have failed after all attempts. If `false`, it continues
    without these rows."""
    responses: Responses = Responses()
    """How the LLM responds to the test questions."""

    @classmethod
    def class_for(cls, values: dict[str, Any]) -> "type[LLMRecipe]":
        """Return the class of the engine."""
        return ENGINES.get(str(values.get("engine")), UnknownEngine)

    @model_validator(mode="after")
    def finetuned_is_for_base_llms(self) -> "LLMRecipe":
        """Check that a chat LLM names no partner."""
        if self.chat and self.finetuned:
            raise ValueError(
                "finetuned is only for a base LLM, and this recipe has chat: true; "
                "remove finetuned or chat"
            )
        return self

    def origin(self) -> dict[str, str]:
        """Return where completions come from, for the ledger: model, revision or endpoint."""
        return {}

    def token_prices(self) -> Prices | None:
        """Return the prices of tokens, or None if they are not known."""
        return None


class ClosedWorldRecipe(LLMRecipe):
    """A program that replaces an LLM in the closed world."""

    chosen_by: ClassVar[str] = "engine: closed-world"

    engine: Literal["closed-world"]
    persona: Literal["teacher", "base", "finetuned"]
    """Which LLM of the closed world the program replaces."""
    world: File
    """File that describes the world."""


class ModelRecipe(LLMRecipe, PretrainedRecipe):
    """An LLM whose model is loaded by a job, or by a server that a job starts."""

    model: Text
    """Repository on the Hugging Face Hub, or a local directory."""
    revision: Text
    """Commit of the repository."""

    def origin(self) -> dict[str, str]:
        """Return the model and its revision."""
        return {"model": self.model, "revision": self.revision}


class TransformersRecipe(ModelRecipe):
    """An LLM that the job loads with transformers."""

    chosen_by: ClassVar[str] = "engine: transformers"

    engine: Literal["transformers"]
    chat_template: Text | None = None
    """Chat template (Jinja) for a chat LLM whose tokenizer has none."""
    dtype: Dtype = "auto"
    """Number type of the computation. `auto` selects the type in which the weights are stored."""
    batch_tokens: NotDeciding[int] = Field(32768, ge=1)
    """Maximum number of tokens in a batch of generation, including padding and the tokens that will
    be generated."""

    @model_validator(mode="after")
    def chat_template_is_for_chat_llms(self) -> "TransformersRecipe":
        """Check that a base LLM has no chat template."""
        if self.chat_template and not self.chat:
            raise ValueError("chat_template is for a chat LLM; remove it, or add chat: true")
        return self


class ServerRecipe(LLMRecipe):
    """An LLM on a server with an OpenAI-compatible API."""

    model: Text
    """Name of the model on the server."""
    limit_parameter: NotDeciding[Literal["max_tokens", "max_completion_tokens"]] = "max_tokens"
    """Name of the request parameter for the maximum number of tokens of a completion."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Additional parameters of each request, with the names of the server's API."""
    concurrency: NotDeciding[int] = Field(64, ge=1)
    """Maximum number of requests at the same time."""
    requests_per_minute: NotDeciding[Annotated[float, Field(gt=0)] | None] = None
    """Maximum number of requests in a minute. `null`: no limit."""
    tokens_per_minute: NotDeciding[Annotated[float, Field(gt=0)] | None] = None
    """Maximum number of tokens in a minute: the tokens of the prompts and the tokens that will be
    generated. `null`: no limit."""
    timeout_seconds: NotDeciding[float] = Field(600.0, gt=0)
    """Maximum time for a reply. After this time, the request is sent again."""
    longest_wait_seconds: NotDeciding[float] = Field(3600.0, gt=0)
    """Maximum time for which the job waits if the server asks it to wait (status 429). After this
    time without a completion, the job sends its requests again for a minute, and stops if none of
    them is accepted."""
    attempts: NotDeciding[int] = Field(12, ge=1)
    """Maximum number of times that a request is sent before it counts as failed. Between two
    attempts, the job waits for a random time: at most 0.05 s at first, then at most twice as long
    each time, up to a minute. If the server asks the job to wait (status 429), this does not count
    as an attempt."""


class OpenAIRecipe(ServerRecipe):
    """An LLM on a server that already runs."""

    chosen_by: ClassVar[str] = "engine: openai"

    engine: Literal["openai"]
    endpoint: NotDeciding[
        Annotated[
            str,
            Form(r"^https?://", "a URL that begins with http:// or https://"),
            AfterValidator(has_host_and_port),
        ]
    ]
    """URL of the API. It usually ends in /v1."""
    key_variable: NotDeciding[
        Annotated[str, Form(r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of an environment variable")]
        | None
    ] = None
    """Name of the environment variable that contains the API key. `null`: no key is sent."""
    prices: NotDeciding[Prices | None] = None
    """Prices of a million tokens, for the costs in usage files and estimates."""

    def origin(self) -> dict[str, str]:
        """Return the model and the endpoint."""
        return {"model": self.model, "endpoint": self.endpoint}

    def token_prices(self) -> Prices | None:
        """Return the prices of the recipe."""
        return self.prices


class ServedRecipe(ModelRecipe, ServerRecipe):
    """An LLM on a server that the job starts."""

    chosen_by: ClassVar[str] = "engine: served"

    engine: Literal["served"]
    command: NotDeciding[Annotated[str, Form(r"\{port\}", "a command with {port} in it")]]
    """Command that starts the server. The job replaces {model}, {revision}, {port}, {gpus} (the
    number of GPUs of the job) and {workflow} (the directory of the workflow)."""
    health: NotDeciding[Annotated[str, Form(r"^/", "a path that begins with /")]] = "/health"
    """Path at which the server returns status 200 when it is ready."""
    startup_seconds: NotDeciding[float] = Field(1800.0, gt=0)
    """Maximum time until the server is ready."""


class UnknownEngine(LLMRecipe):
    """A recipe that names no engine, or an unknown one. Only this error is reported."""

    model_config = ConfigDict(extra="ignore")

    engine: Literal["closed-world", "transformers", "openai", "served"]


ENGINES: dict[str, type[LLMRecipe]] = {
    "closed-world": ClosedWorldRecipe,
    "transformers": TransformersRecipe,
    "openai": OpenAIRecipe,
    "served": ServedRecipe,
}
