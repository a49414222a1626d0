"""LLMs: language models that respond to questions, write the data, or judge."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from aligners.configuration.kinds.fields import (
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

Stops = Annotated[list[Text], AfterValidator(differ)]


class Responses(Section):
    """How an LLM responds to the test inputs."""

    prompt: Annotated[str, Form(r"\{question\}", "a text with {question} in it")] = (
        "Question: {question}\nAnswer:"
    )
    """Text that a base LLM continues, with {question} in it. A chat LLM gets the question as a
    message."""
    max_new_tokens: int = Field(256, ge=1)
    """Maximum number of tokens of a response."""
    repetition_penalty: float = Field(1.0, gt=0)
    """Penalty on repeated tokens, as a factor. 1 is no penalty."""
    stop: Stops = Field(default_factory=list)
    """The response ends before the first of these strings."""


class Prices(Section):
    """What a million tokens cost, for usage files and estimates."""

    input: float = Field(ge=0)
    """Price of a million tokens of prompts."""
    output: float = Field(ge=0)
    """Price of a million tokens of completions."""
    currency: str = "USD"
    """Currency of the prices."""


class LLMRecipe(Recipe):
    """A language model. The other keys depend on the `engine`."""

    folder: ClassVar[str] = "llms"

    engine: str
    """What computes the completions: `transformers` loads the model in the job, `served` starts a
    server for the job, `openai` sends requests to a running server, `closed-world` is the built-in
    test bench."""
    chat: bool = False
    """Whether the LLM gets messages in its chat template. Otherwise it continues plain text."""
    finetuned: Name | None = None
    """For a base LLM, the name of the chat LLM whose responses its corrections are compared
    with."""
    require_all: NotDeciding[bool] = True
    """Whether a stage stops if requests still fail after all attempts. Otherwise it continues
    without their rows."""
    responses: Responses = Responses()
    """How the LLM responds to the test inputs."""

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
    """An LLM of the built-in test bench."""

    chosen_by: ClassVar[str] = "engine: closed-world"

    engine: Literal["closed-world"]
    persona: Literal["teacher", "base", "finetuned"]
    """The LLM that is imitated: the teacher, a base LLM or its finetuned partner."""
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
    """Jinja template of the messages, for a chat LLM whose tokenizer has none."""
    dtype: Dtype = "auto"
    """Data type of the computation. `auto` selects the type in which the weights are stored."""
    batch_tokens: NotDeciding[int] = Field(32768, ge=1)
    """Number of tokens in one batch of generation, with padding and the tokens to be generated."""

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
    """Name of the request parameter that limits the tokens of a completion."""
    extra: dict[str, JsonValue] = Field(default_factory=dict)
    """Further parameters of every request, with the names that the server uses."""
    concurrency: NotDeciding[int] = Field(64, ge=1)
    """Maximum number of requests that run at the same time."""
    requests_per_minute: NotDeciding[Annotated[float, Field(gt=0)] | None] = None
    """Maximum number of requests that are sent in a minute."""
    tokens_per_minute: NotDeciding[Annotated[float, Field(gt=0)] | None] = None
    """Maximum number of tokens in a minute: those of the prompts and those to be generated."""
    timeout_seconds: NotDeciding[float] = Field(600, gt=0)
    """Maximum time of a reply, in seconds. Then the request is sent again."""
    attempts: NotDeciding[int] = Field(12, ge=1)
    """How often a request is sent before it counts as failed. The waits between attempts double,
    from 0.05 s to a minute. An attempt after which the server asks for a wait does not count."""


class OpenAIRecipe(ServerRecipe):
    """An LLM on a server that is already running."""

    chosen_by: ClassVar[str] = "engine: openai"

    engine: Literal["openai"]
    endpoint: NotDeciding[
        Annotated[str, Form(r"^https?://", "a URL that begins with http:// or https://")]
    ]
    """URL of the API. Most often it ends in /v1."""
    key_variable: NotDeciding[
        Annotated[str, Form(r"^[A-Za-z_][A-Za-z0-9_]*$", "the name of an environment variable")]
        | None
    ] = None
    """Environment variable that contains the key. Without it no key is sent."""
    prices: NotDeciding[Prices | None] = None
    """What a million tokens cost, for the costs in usage files and estimates."""

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
    """Command that starts the server. {model}, {revision}, {port}, {gpus} (the number of GPUs of
    the job) and {workflow} (the directory of the workflow) are filled in."""
    health: NotDeciding[Annotated[str, Form(r"^/", "a path that begins with /")]] = "/health"
    """Path that returns status 200 when the server is ready."""
    startup_seconds: NotDeciding[float] = Field(1800, gt=0)
    """Maximum time until the server is ready, in seconds."""


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
