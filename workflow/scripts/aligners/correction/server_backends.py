"""Backends of aligners on servers with OpenAI's API, which a job starts or which already run."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from transformers import GenerationConfig

from aligners.configuration.fields import Section
from aligners.configuration.kinds.inference import Inference
from aligners.configuration.kinds.llms import OpenAIRecipe, ServedRecipe, ServerRecipe
from aligners.configuration.kinds.pretrained import find_model
from aligners.configuration.kinds.servers import CommandSection, EndpointSection, ServerSection
from aligners.core.completions import Completion, Decoding, Engine, Failure, Request
from aligners.correction.adapters import ADAPTER, common_base
from aligners.correction.backends import AlignerModel
from aligners.llms.engines import load_engine
from aligners.llms.engines.served import Server
from aligners.models.pretrained import context_length, load_config

R = TypeVar("R", bound=ServerRecipe)


class ServerBackend:
    """A model on a server."""

    def __init__(
        self,
        model: AlignerModel,
        inference: Inference,
        connect: Callable[[], Engine],
        close: Callable[[], None] = lambda: None,
    ):
        """Take the model, and how it is reached.

        Args:
            model: of the aligner.
            inference: of the recipe.
            connect: returns the engine of the model. It starts the server if it is not running.
            close: stops the server.
        """
        self.name, self.context = model.source.model, context_length(load_config(model.source))
        self.reads_text = inference.prompts == "text"
        self.stop = unknown_ends(model) if self.reads_text else ()
        self.connect, self.stop_server = connect, close

    def complete(
        self, requests: Iterable[Request], decoding: Decoding
    ) -> Iterator[Completion | Failure]:
        """Yield the text of each request, or its failure.

        Raises:
            UserError: the server ended, cannot be reached, or rejects all requests.
        """
        yield from self.connect()(requests, replace(decoding, stop=(*decoding.stop, *self.stop)))

    def close(self) -> None:
        """Stop the server, if a job started it. Other aligners on it stop working."""
        self.stop_server()


@dataclass
class AlignerServer:
    """A server for one aligner, or for several as adapters.

    Attributes:
        recipe: how it is started.
        name: of its log.
        adapters: directories by name.
        before: servers that stop before this one starts.
    """

    recipe: ServedRecipe
    name: str
    adapters: dict[str, Path] = field(default_factory=dict)
    before: Sequence["AlignerServer"] = ()
    running: Server | None = None
    engines: dict[str, Engine] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def start(self) -> Server:
        """Start the server unless it is running, and do not wait until it is ready.

        A server that ended is started again, for a service that goes on after its error.

        Raises:
            UserError: the command cannot be run.
        """
        if self.running is not None and self.running.has_ended:
            self.stop()
        if self.running is None:
            for other in self.before:
                other.stop()
            self.running = Server(self.recipe, self.name, self.adapters)
        return self.running

    def engine(self, recipe: ServedRecipe) -> Engine:
        """Return the engine for a model of this server, once the server is ready.

        Raises:
            UserError: the server ends or is not ready in time.
        """
        with self.lock:  # Several threads share a squad, and one of them starts the server.
            server = self.start()
            if recipe.model not in self.engines:
                server.wait_until_ready()
                self.engines[recipe.model] = server.endpoint(recipe).complete
            return self.engines[recipe.model]

    def stop(self) -> None:
        """Stop the server if it is running."""
        if self.running is not None:
            self.running.stop()
        self.running, self.engines = None, {}


def load_server_backends(
    models: Sequence[AlignerModel], inference: Inference
) -> list[ServerBackend]:
    """Return the backend of each model, by the recipe's `inference`.

    Servers start at once and together, except those that run in turn: such a server starts when
    its aligner gets rows.

    Raises:
        UserError: a server cannot be started or is not ready in time, the environment variable
            with the API key is not set, or there are no adapters of one base.
    """
    if inference.engine == "openai":
        return [endpoint_backend(model, inference) for model in models]
    servers = shared_server(models, inference) or own_servers(models, inference)
    backends = [
        started_backend(model, inference, server)
        for model, server in zip(models, servers, strict=True)
    ]
    if not inference.in_turn:
        try:
            for server in servers:
                server.start()
            for backend in backends:
                backend.connect()
        except BaseException:
            for server in servers:
                server.stop()
            raise
    return backends


def endpoint_backend(model: AlignerModel, inference: Inference) -> ServerBackend:
    """Return the backend of a model on a server that already runs.

    Raises:
        UserError: the environment variable with the API key is not set.
    """
    recipe = OpenAIRecipe(
        engine="openai",
        model=inference.model.replace("{aligner}", model.name),
        **keys_of(inference, EndpointSection, ServerSection),
    )
    engine = load_engine(with_ends(recipe, model, inference))
    return ServerBackend(model, inference, lambda: engine)


def own_servers(models: Sequence[AlignerModel], inference: Inference) -> list[AlignerServer]:
    """Return a server for each model."""
    servers = [
        AlignerServer(served_recipe(model.served, model.source.revision, inference), model.name)
        for model in models
    ]
    if inference.in_turn:
        for server in servers:
            server.before = [other for other in servers if other is not server]
    return servers


def shared_server(
    models: Sequence[AlignerModel], inference: Inference
) -> list[AlignerServer] | None:
    """Return one server of the base for all models, or None if they are not served as adapters.

    Raises:
        UserError: a model has no adapter, or the adapters have different bases.
    """
    if not inference.uses_adapters:
        return None
    adapters = {model.name: Path(model.source.model) / ADAPTER for model in models}
    base, revision = common_base(list(adapters.values()))
    server = AlignerServer(served_recipe(base, revision, inference), "adapters", adapters)
    return [server] * len(models)


def started_backend(
    model: AlignerModel, inference: Inference, server: AlignerServer
) -> ServerBackend:
    """Return the backend of a model on a server that this job starts."""
    # Servers know a local model by its path in the command: `./m` is `m` there.
    on_server = model.name if server.adapters else str(find_model(model.served))
    recipe = with_ends(server.recipe, model, inference).model_copy(update={"model": on_server})
    return ServerBackend(model, inference, lambda: server.engine(recipe), server.stop)


def served_recipe(model: str, revision: str, inference: Inference) -> ServedRecipe:
    """Return the recipe of a server that is started with a model."""
    keys = keys_of(inference, CommandSection, ServerSection)
    return ServedRecipe(engine="served", model=model, revision=revision, **keys)


def keys_of(inference: Inference, *sections: type[Section]) -> dict[str, Any]:
    """Return the values of the keys of some sections."""
    return {name: getattr(inference, name) for one in sections for name in one.model_fields}


def with_ends(recipe: R, model: AlignerModel, inference: Inference) -> R:
    """Return a recipe whose requests name the end tokens of a model.

    vLLM and SGLang know `stop_token_ids`, llama.cpp passes over it. A server that takes only texts
    can reject it; there, `unknown_ends` are stop strings.
    """
    if inference.prompts == "text":
        return recipe
    ends = {"stop_token_ids": sorted(model.end_token_ids)}
    return recipe.model_copy(update={"extra": {**ends, **recipe.extra}})


def unknown_ends(model: AlignerModel) -> tuple[str, ...]:
    """Return the texts of the end tokens that the model's own generation settings do not have."""
    source = model.source
    try:
        known = GenerationConfig.from_pretrained(
            source.model, revision=source.revision
        ).eos_token_id
    except OSError:  # the model has no such settings
        known = load_config(source).eos_token_id
    unknown = model.end_token_ids.difference(known if isinstance(known, list) else [known])
    return tuple(model.tokenizer.convert_ids_to_tokens(sorted(unknown)))
