"""LLMs: language models that respond to questions, write the data, or judge."""

from dataclasses import replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from aligners.configuration.fields import (
    Count,
    File,
    Form,
    Line,
    Name,
    NotDeciding,
    Recipe,
    RepetitionPenalty,
    Sampling,
    Section,
    Text,
    Tokens,
    WrongKey,
    differ,
)
from aligners.configuration.kinds.pretrained import (
    Dtype,
    ModelName,
    PretrainedRecipe,
    existing_model,
)
from aligners.configuration.kinds.servers import (
    Command,
    CommandSection,
    EndpointSection,
    ServerSection,
    Url,
)
from aligners.core.completions import Decoding

AFFECTS_RESULTS = False

Price = Annotated[float, Field(ge=0, le=1_000_000_000)]
Stops = Annotated[list[Annotated[str, Field(min_length=1)]], AfterValidator(differ)]
# Arguments of a chat template that the workflow sets itself, or that would replace its template.
OWN_TEMPLATE_ARGUMENTS = (
    "conversation",
    "messages",
    "add_generation_prompt",
    "continue_final_message",
    "chat_template",
    "tokenize",
    "return_dict",
    "sanitize_control_tokens",
)


def only_options(options: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return options of a chat template.

    Raises:
        ValueError: they contain an argument that the workflow sets itself.
    """
    for name in options:
        if name in OWN_TEMPLATE_ARGUMENTS:
            raise WrongKey(name, f"{name} is no option of a chat template; remove it")
    return options


class Responses(Sampling):
    """How an LLM responds to the test questions."""

    prompt: Annotated[str, Form(r"\{question\}", "a text with {question} in it")] = (
        "Question: {question}\nAnswer:"
    )
    """Text that a base LLM continues. It contains {question}. A chat LLM gets the question as a
    message instead."""
    system: Text | None = None
    """System message for a chat LLM, before the question."""
    max_new_tokens: Tokens = 256
    """Maximum number of tokens of a response."""
    repetition_penalty: RepetitionPenalty = 1.0
    """Repetition penalty. 1 means no penalty."""
    stop: Stops = Field(default_factory=list)
    """Stop strings. A response ends before the first of them."""
    first_sentence: bool = False
    """If `true`, only the text up to the first full stop or exclamation mark is kept, as in the
    paper's experiment. Use it only to reproduce the paper."""


class Prices(Section):
    """Prices of a million tokens, for usage files and estimates."""

    input: Price
    """Price of a million tokens of prompts."""
    output: Price
    """Price of a million tokens of completions."""
    currency: Line = "USD"
    """Currency of the prices."""


class LLMRecipe(Recipe):
    """A language model. The key `engine` decides which other keys exist."""

    folder: ClassVar[str] = "llms"
    # Keys that only chat LLMs can have.
    chat_keys: ClassVar[tuple[str, ...]] = ("template_options",)

    engine: str
    """How the completions are computed: `transformers` loads the model in the job, `served` starts
    a server in the job, `openai` sends requests to a running server, `closed-world` is the program
    that replaces an LLM in the closed world."""
    chat: bool = False
    """If `true`, the LLM gets messages through its chat template. If `false`, it continues plain
    text."""
    finetuned: Name | None = None
    """Name of the LLM whose responses are compared with the corrections of this LLM's responses: of
    a base LLM, its finetuned partner. Only the responses of LLMs with this key are corrected."""
    require_all: NotDeciding[bool] = True
    """If `true`, a stage stops if requests have failed after all attempts. If `false`, it continues
    without these rows."""
    thought_tokens: Tokens | None = None
    """Room for the thoughts of a reasoning model: this number is added to each `max_new_tokens`.
    Thoughts are removed from the texts, and counted."""
    template_options: Annotated[dict[str, JsonValue], AfterValidator(only_options)] | None = None
    """Options of the chat template, such as `{enable_thinking: false}`. A server gets them as the
    parameter `chat_template_kwargs`."""
    responses: Responses = Responses()
    """How the LLM responds to the test questions."""

    @classmethod
    def class_for(cls, values: dict[str, Any]) -> "type[LLMRecipe]":
        """Return the class of the engine."""
        return ENGINES.get(str(values.get("engine")), UnknownEngine)

    @model_validator(mode="after")
    def prompt_is_for_base_llms(self) -> "LLMRecipe":
        """Check that a chat LLM has no prompt, since it gets the question as a message."""
        if self.chat and self.responses.prompt != Responses.model_fields["prompt"].default:
            raise WrongKey(
                "responses.prompt",
                "responses.prompt is only for a base LLM, and this recipe has chat: true; "
                "remove responses.prompt or chat",
            )
        return self

    @model_validator(mode="after")
    def chat_keys_are_for_chat_llms(self) -> "LLMRecipe":
        """Check that a base LLM has no key that only chat LLMs can have."""
        for name in self.chat_keys:
            if getattr(self, name) and not self.chat:
                raise WrongKey(name, f"{name} is for a chat LLM; remove it, or add chat: true")
        return self

    @model_validator(mode="after")
    def system_is_for_chat_llms(self) -> "LLMRecipe":
        """Check that a base LLM has no system message, since it gets no messages."""
        if self.responses.system and not self.chat:
            raise WrongKey(
                "responses.system",
                "responses.system is for a chat LLM; remove it, or add chat: true",
            )
        return self

    def origin(self) -> dict[str, str]:
        """Return where completions come from, for the ledger: model, revision or endpoint."""
        return {}

    def with_room_for_thoughts(self, decoding: Decoding) -> Decoding:
        """Return a decoding with the tokens that the LLM may write before its text."""
        room = self.thought_tokens or 0
        return replace(decoding, max_new_tokens=decoding.max_new_tokens + room)

    def sent(self, decoding: dict[str, Any]) -> dict[str, Any]:
        """Return what was sent with a prompt, for the ledger: decoding and other parameters."""
        options = {"template_options": self.template_options} if self.template_options else {}
        return {"decoding": decoding, **options}

    def writes_json(self) -> bool:
        """Return whether the LLM is asked for structured output where a stage has a use for it."""
        return False

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

    model: ModelName
    """Repository on the Hugging Face Hub, a local directory, or a GGUF file. Write
    `package:NAME/PATH` for a directory or a GGUF file in an installed Python package."""

    def origin(self) -> dict[str, str]:
        """Return the model, and its revision if it is a repository of the Hub."""
        revision = {"revision": self.revision} if self.revision else {}
        return {"model": self.model, **revision}


class TransformersRecipe(ModelRecipe):
    """An LLM that the job loads with transformers."""

    chosen_by: ClassVar[str] = "engine: transformers"
    chat_keys: ClassVar[tuple[str, ...]] = ("template_options", "chat_template")

    engine: Literal["transformers"]
    chat_template: Text | None = None
    """Chat template (Jinja) for a chat LLM whose tokenizer has none."""
    dtype: Dtype = "auto"
    """Number type of the computation. `auto` selects the type in which the weights are stored."""
    batch_tokens: NotDeciding[Count] = 32768
    """Maximum number of tokens in a batch of generation, including padding and the tokens that will
    be generated."""


class ServerRecipe(ServerSection, LLMRecipe):
    """An LLM on a server with an OpenAI-compatible API."""

    chat_keys: ClassVar[tuple[str, ...]] = ("template_options", "structured_output")

    model: Line
    """Name of the model on the server."""
    structured_output: bool | None = None
    """If `true`, pairs are requested as JSON, with the parameter `response_format` (a JSON schema),
    which the server must support. Only for `chat: true`."""

    def sent(self, decoding: dict[str, Any]) -> dict[str, Any]:
        """Return what was sent with a prompt, for the ledger: decoding and other parameters."""
        left = self.leave_out or ()
        sent = super().sent({name: decoding[name] for name in decoding if name not in left})
        return {**sent, "extra": self.extra} if self.extra else sent

    def writes_json(self) -> bool:
        """Return whether the LLM is asked for structured output."""
        return bool(self.structured_output)


class OpenAIRecipe(EndpointSection, ServerRecipe):
    """An LLM on a server that already runs."""

    chosen_by: ClassVar[str] = "engine: openai"

    engine: Literal["openai"]
    endpoint: NotDeciding[Url]
    prices: NotDeciding[Prices | None] = None
    """Prices of a million tokens, for the costs in usage files and estimates."""

    def origin(self) -> dict[str, str]:
        """Return the model and the endpoint."""
        return {"model": self.model, "endpoint": self.endpoint}

    def token_prices(self) -> Prices | None:
        """Return the prices of the recipe."""
        return self.prices


class ServedRecipe(CommandSection, ModelRecipe, ServerRecipe):
    """An LLM on a server that the job starts."""

    chosen_by: ClassVar[str] = "engine: served"
    chat_keys: ClassVar[tuple[str, ...]] = ServerRecipe.chat_keys

    engine: Literal["served"]
    # Some servers read a file.
    model: Annotated[Line, AfterValidator(existing_model)]
    """Repository on the Hugging Face Hub, or a local file or directory."""
    command: NotDeciding[Command]

    @model_validator(mode="after")
    def server_decides_about_code(self) -> "ServedRecipe":
        """Check that code of the model's repository is allowed in the command alone."""
        if self.trust_remote_code:
            raise WrongKey(
                "trust_remote_code",
                "trust_remote_code has no effect on a server; remove it, and add the server's "
                "option to command",
            )
        return self


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
