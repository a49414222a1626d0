"""Backends: what generates the texts of an aligner, in this process or on a server.

A backend gets prompts and returns texts, as the engine of an LLM does. It knows nothing of
questions and responses.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Protocol

from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from aligners.configuration.kinds.inference import Inference
from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.models.pretrained import best_dtype, context_length, load_for_inference
from aligners.models.text_generation import generate

# Loaded by name, so that the library works without the packages of clients, and so that their code
# is no part of a fingerprint, as with the engines of LLMs.
SERVERS = "aligners.correction.server_backends"


@dataclass(frozen=True)
class AlignerModel:
    """The model of an aligner, before a backend loads it.

    Attributes:
        name: of the aligner, on a server.
        source: the model directory, or the repository on the Hub.
        served: the model as the command of a server gets it, such as a GGUF file.
        dtype: number type of the computation in this process.
        tokenizer: of the model.
        end_token_ids: tokens that end a text.
    """

    name: str
    source: ModelSource
    served: str
    dtype: str
    tokenizer: PreTrainedTokenizerBase
    end_token_ids: frozenset[int]


class Backend(Protocol):
    """Generates texts.

    Attributes:
        name: of the model, for messages.
        context: maximum number of tokens of a prompt and its text together; None if not known.
        reads_text: whether its prompts are texts, because the server takes no token ids.
    """

    name: str
    context: int | None
    reads_text: bool

    def complete(
        self, requests: Iterable[Request], decoding: Decoding
    ) -> Iterator[Completion | Failure]:
        """Yield the text of each request, or why it has none, in any order.

        Raises:
            UserError: no request can succeed.
        """

    def close(self) -> None:
        """Stop the server of this backend, if it started one."""


class ModelBackend:
    """A model in this process."""

    reads_text = False

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        end_token_ids: Iterable[int],
        batch_tokens: int,
    ):
        """Use a loaded model; `generate` describes the other arguments."""
        self.model, self.tokenizer, self.batch_tokens = model, tokenizer, batch_tokens
        self.end_token_ids = set(end_token_ids)
        self.name, self.context = str(model.name_or_path), context_length(model.config)

    def complete(
        self, requests: Iterable[Request], decoding: Decoding
    ) -> Iterator[Completion | Failure]:
        """Yield the text of each request, which has token ids."""
        given = list(requests)
        prompts = [list(request.token_ids) for request in given]
        for row in generate(
            self.model,
            self.tokenizer,
            prompts,
            decoding,
            sorted(self.end_token_ids),
            self.batch_tokens,
        ):
            yield Completion(
                given[row.index].id,
                row.text,
                row.finish,
                tokens_in=len(prompts[row.index]),
                tokens_out=row.tokens,
                seconds=row.seconds,
            )

    def close(self) -> None:
        """Do nothing: the memory of a model is free when no object refers to it."""


def load_backends(
    models: Sequence[AlignerModel], inference: Inference, batch_tokens: int
) -> list[Backend]:
    """Load the backend of each model. On a server, models can share it.

    Args:
        models: whose names all differ.
        inference: of the recipe.
        batch_tokens: maximum number of tokens in a batch in this process.

    Raises:
        UserError: a model cannot be loaded, or the server cannot be used.
    """
    if inference.engine == "transformers":
        return [load_model_backend(model, batch_tokens) for model in models]
    try:
        module = import_module(SERVERS)
    except ModuleNotFoundError as error:
        raise UserError(
            f"inference.engine {inference.engine}: the Python package {error.name} is not "
            "installed; run `pip install 'aligners[serve]'`"
        ) from None
    backends: list[Backend] = module.load_server_backends(models, inference)
    return backends


def load_model_backend(model: AlignerModel, batch_tokens: int) -> ModelBackend:
    """Load a model into this process.

    Raises:
        UserError: it cannot be loaded.
    """
    loaded = load_for_inference(AutoModelForCausalLM, model.source, best_dtype(model.dtype))
    return ModelBackend(loaded, model.tokenizer, model.end_token_ids, batch_tokens)
