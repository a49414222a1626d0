"""Models of the Hugging Face Hub: fetched where there is a network, found where there is none.

What the Hub and transformers raise for a user's mistake becomes a message that says what to do.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import get_token, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError

# Of a repository: configuration, tokenizer and chat template; the weights in one of two formats.
FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
WEIGHTS = {"safetensors": "*.safetensors", "bin": "*.bin"}
# The same weights once more, for other programs.
OTHER_FORMATS = ["original/*", "consolidated*", "onnx/*", "openvino/*"]
BIN_MESSAGE = "set weights: bin in the recipe to read .bin files, as data only"


def fetch(source: ModelSource) -> dict[str, Any]:
    """Bring the recipe's model at its revision into the cache of the Hub, whole.

    What is there already is not fetched again.

    Returns:
        model, revision, commit (of the revision), files, bytes.

    Raises:
        UserError: it cannot be had; the message says what to do.
    """
    check_access(source)
    with explained(source):
        snapshot = Path(snapshot_download(**snapshot_options(source)))
    weights = WEIGHTS[source.weights]
    if not any(snapshot.rglob(weights)):
        hint = f"; {BIN_MESSAGE}" if weights == WEIGHTS["safetensors"] else ""
        raise UserError(f"{source.model}: the repository has no {weights} weights{hint}")
    files = sorted(path for path in snapshot.rglob("*") if path.is_file())
    return {
        "model": source.model,
        "revision": source.revision,
        "commit": snapshot.name,
        "files": [path.relative_to(snapshot).as_posix() for path in files],
        "bytes": sum(path.stat().st_size for path in files),
    }


def check_fetched(source: ModelSource, name: str) -> None:
    """Refuse a model that is not in the cache, where the environment says that there is no network.

    Raises:
        UserError: says how to fetch it.
    """
    if os.environ.get("HF_HUB_OFFLINE") and not is_cached(source.model, source.revision):
        raise UserError(
            f"{name}: {source.model} at {source.revision} is not in the cache of the Hub, and "
            "HF_HUB_OFFLINE is set. Where there is a network, and with the same HF_HOME, run: "
            f"snakemake --cores 1 results/models/{name}.json"
        )


@functools.cache
def is_cached(model: str, commit: str) -> bool:
    """Tell whether a revision of a model is in the cache."""
    try:
        snapshot_download(model, revision=commit, local_files_only=True)
    except LocalEntryNotFoundError:
        return False
    return True


def snapshot_options(source: ModelSource) -> dict[str, Any]:
    """Return what of a repository is fetched."""
    code = ["*.py"] if source.trust_remote_code else []
    return {
        "repo_id": source.model,
        "revision": source.revision,
        "allow_patterns": [*FILES, *code, WEIGHTS[source.weights]],
        "ignore_patterns": OTHER_FORMATS,
    }


def check_access(source: ModelSource) -> None:
    """Refuse a gated model of the Hub without a token, and a local path that is not there."""
    model = source.model
    if Path(model).is_dir():
        return
    if source.looks_local:
        raise UserError(f"{model}: no such model directory; mend the key model of the recipe")
    if source.gated and get_token() is None and not os.environ.get("HF_HUB_OFFLINE"):
        raise UserError(f"{model}: {gated_message(model)}")


def gated_message(model: str) -> str:
    """Say what to do about a gated model."""
    return (
        "the Hub gives this model only to accounts that accepted its licence; "
        f"accept it at https://huggingface.co/{model} and set HF_TOKEN in the environment"
    )


@contextmanager
def explained(source: ModelSource) -> Iterator[None]:
    """Turn what transformers and the Hub raise for a user's mistake into a UserError."""
    model = source.model
    try:
        yield
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise UserError(f"{model}: {explain(model, error)}") from None


def explain(model: str, error: Exception) -> str:
    """Say why a model could not be loaded and what to do."""
    causes = tuple(type(cause) for cause in chain(error))
    text = str(error).strip() or repr(error)
    if GatedRepoError in causes:
        return gated_message(model)
    if RepositoryNotFoundError in causes:
        return (
            "no public model of the Hugging Face Hub has this name; mend the key model of the "
            "recipe, or set HF_TOKEN in the environment if it is a private one"
        )
    offline = "couldn't connect" in text or "offline mode" in text
    if offline or LocalEntryNotFoundError in causes:
        return (
            "not in the cache of the Hugging Face Hub, and the Hub cannot be reached; run "
            f"`hf download {model}` where there is a network, or give a local directory as model"
        )
    if ".safetensors" in text:
        return f"the repository has no safetensors weights; {BIN_MESSAGE}"
    if "trust_remote_code" in text:
        return (
            "needs code of its repository; read that code, then set trust_remote_code: true in "
            "the recipe"
        )
    return f"the model cannot be loaded: {text.splitlines()[0]}"


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an exception and what caused it."""
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__ or seen.__context__
