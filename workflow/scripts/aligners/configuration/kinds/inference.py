"""Where an aligner generates its corrections: in the job, or on a server."""

from typing import ClassVar, Literal

from pydantic import model_validator

from aligners.configuration.fields import Line, NotDeciding, Section, WrongKey
from aligners.configuration.kinds.servers import (
    Command,
    CommandSection,
    EndpointSection,
    ServerSection,
)

AFFECTS_RESULTS = False

EngineName = Literal["transformers", "served", "openai"]

ADAPTERS = "{adapters}"


class EngineSection(Section):
    """What decides how an aligner computes its corrections."""

    engine: EngineName = "transformers"
    """How the corrections are computed: `transformers` loads the aligner in the job, `served`
    starts a server in the job, `openai` sends requests to a running server that has the aligner."""
    prompts: Literal["tokens", "text"] = "tokens"
    """Form of the prompts. `tokens` sends token ids, which vLLM, SGLang and llama.cpp take. `text`
    is for servers that take only texts, such as `transformers serve`: there, a space is put into
    special tokens that a user typed."""
    model: Line = "{aligner}"
    """With `engine: openai`: name of the model on the server. {aligner} is replaced by the
    aligner's name: its criterion, `conditioned`, or the name of its recipe."""


class Inference(CommandSection, EndpointSection, ServerSection, EngineSection):
    """Where an aligner generates its corrections.

    The keys decide as those of an LLM do. Another engine computes with other rounding, and after
    the first token that differs the whole text differs, so `engine` decides, and so does what is
    sent. How the server is reached and started does not decide: the server may move, or get other
    options, as long as it computes the same texts. None of these keys decides a training.
    """

    # The keys that each engine has besides those of `ServerSection`.
    own_keys: ClassVar[dict[str, tuple[str, ...]]] = {
        "served": ("prompts", "in_turn", *CommandSection.model_fields),
        "openai": ("prompts", "model", *EndpointSection.model_fields),
    }

    command: NotDeciding[Command | None] = None
    """With `engine: served`: command that starts the server. The job replaces {model}, {revision},
    {port}, {gpus} (the number of GPUs of the job) and {workflow} (the directory of the workflow).
    If the command has {adapters}, one server has all aligners: {model} is their backbone, and
    {adapters} is replaced by a word name=directory for each adapter. Else each aligner has its own
    server."""
    in_turn: NotDeciding[bool] = False
    """With `engine: served`: if `true`, only one server runs at a time. A server is stopped before
    that of the next aligner starts. Use it if the memory is too small for all."""

    @model_validator(mode="after")
    def keys_are_of_the_engine(self) -> "Inference":
        """Check that each key has an effect with this engine, and that none is missing."""
        own = self.own_keys.get(self.engine)
        known = set(own or ()) | set(ServerSection.model_fields if own else ())
        for name, field in type(self).model_fields.items():
            default = field.get_default(call_default_factory=True)
            if name not in known | {"engine"} and getattr(self, name) != default:
                raise WrongKey(
                    name,
                    f"the key {name} has no effect with `engine: {self.engine}`; remove it, or "
                    "correct the key engine",
                )
        for engine, name in (("served", "command"), ("openai", "endpoint")):
            if self.engine == engine and getattr(self, name) is None:
                raise WrongKey("engine", f"`engine: {engine}` needs the key {name} too; add it")
        return self

    @model_validator(mode="after")
    def turns_need_several_servers(self) -> "Inference":
        """Check that `in_turn` is not set for a single server."""
        if self.in_turn and self.uses_adapters:
            raise WrongKey(
                "in_turn",
                "the key in_turn has no effect with {adapters} in the command, since one server "
                "has all aligners; remove it",
            )
        return self

    @property
    def uses_adapters(self) -> bool:
        """Whether one server has all aligners as adapters of their backbone."""
        return self.command is not None and ADAPTERS in self.command
