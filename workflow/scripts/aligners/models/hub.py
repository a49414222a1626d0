"""Models of the Hugging Face Hub: downloads them, and finds them in the cache without a network.

Errors of the Hub and of transformers that the user can fix become a UserError.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import get_token, is_offline_mode, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.core.full_disk import exception_chain, is_full_disk
from aligners.models.files import (
    BIN_MESSAGE,
    WEIGHTS,
    find_damage,
    has_weights,
    missing_shards,
)

# Files to fetch: configuration, tokenizer and chat template, and the weights in one of two formats.
FILES = ["*.json", "*.txt", "*.model", "*.jinja"]
# The same weights in formats for other programs.
OTHER_FORMATS = ["original/*", "consolidated*", "onnx/*", "openvino/*"]


def fetch(source: ModelSource) -> dict[str, Any]:
    """Download all files of the recipe's model and revision that are not yet in the Hub's cache.

    Returns:
        model, revision, commit (of the revision), files, bytes.

    Raises:
        UserError: the model cannot be downloaded; the message describes what to do.
    """
    check_access(source)
    with explained(source):
        snapshot = Path(snapshot_download(**snapshot_options(source)))
    if not has_weights(snapshot, source):
        hint = (
            BIN_MESSAGE
            if source.weights == "safetensors"
            else "remove weights: bin from the recipe"
        )
        raise UserError(
            f"{source.model}: the repository has no {WEIGHTS[source.weights]} weights; {hint}"
        )
    if damage := damage_message(source, snapshot):
        raise UserError(f"{source.model}: {damage}")
    files = sorted(path for path in snapshot.rglob("*") if path.is_file())
    return {
        "model": source.model,
        "revision": source.revision,
        "commit": snapshot.name,
        "files": [path.relative_to(snapshot).as_posix() for path in files],
        "bytes": sum(path.stat().st_size for path in files),
    }


def check_fetched(source: ModelSource, name: str) -> None:
    """Check that a model is in the cache if HF_HUB_OFFLINE is set.

    Raises:
        UserError: it is not; the message has the command that fetches it.
    """
    if is_offline_mode() and not is_cached(source):
        raise UserError(
            f"{name}: {source.model} at {source.revision} is not in the local cache of the Hub, "
            "and HF_HUB_OFFLINE is set. On a machine with a network and the same HF_HOME, run: "
            f"snakemake --cores 1 results/models/{name}.json"
        )


def is_cached(source: ModelSource) -> bool:
    """Return whether the cache has all files of the recipe's model that `fetch` downloads."""
    try:
        snapshot = Path(snapshot_download(**snapshot_options(source), local_files_only=True))
    except LocalEntryNotFoundError:
        return False
    # Without a list of the repository's files, snapshot_download returns any directory.
    has_configuration = (snapshot / "config.json").is_file()
    shards = missing_shards(snapshot, WEIGHTS[source.weights])
    return has_configuration and has_weights(snapshot, source) and not shards


def snapshot_options(source: ModelSource) -> dict[str, Any]:
    """Return the arguments of snapshot_download, with the patterns of the files to fetch."""
    code = ["*.py"] if source.trust_remote_code else []
    return {
        "repo_id": source.model,
        "revision": source.revision,
        "allow_patterns": [*FILES, *code, WEIGHTS[source.weights]],
        "ignore_patterns": OTHER_FORMATS,
    }


def check_access(source: ModelSource) -> None:
    """Check that a local path exists, and that there is a token for a gated model.

    Raises:
        UserError: one of them is missing.
    """
    model = source.model
    if Path(model).is_dir():
        return
    if source.looks_local:
        raise UserError(f"{model}: no such model directory; correct the key model of the recipe")
    if source.gated and get_token() is None and not is_offline_mode():
        raise UserError(f"{model}: {gated_message(model)}")


def gated_message(model: str) -> str:
    """Return what the user has to do to get access to a gated model."""
    return (
        "only accounts that accepted its licence can download this model; "
        f"accept it at https://huggingface.co/{model} and set HF_TOKEN in the environment"
    )


@contextmanager
def explained(source: ModelSource) -> Iterator[None]:
    """Convert errors of the Hub, transformers and the libraries that read files to a UserError."""
    try:
        yield
    except Exception as error:  # The libraries have no common class of errors.
        if is_full_disk(error):
            raise
        raise UserError(f"{source.model}: {load_error_message(source, error)}") from None


def load_error_message(source: ModelSource, error: Exception) -> str:
    """Return why a model could not be loaded and what to do."""
    model = source.model
    causes = tuple(type(cause) for cause in exception_chain(error))
    text = str(error).strip() or repr(error)
    if GatedRepoError in causes:
        return gated_message(model)
    if RepositoryNotFoundError in causes:
        return (
            "the Hugging Face Hub has no public model of this name; correct the key model of the "
            "recipe, or set HF_TOKEN in the environment if the model is private"
        )
    offline = "couldn't connect" in text or "offline mode" in text
    if offline or LocalEntryNotFoundError in causes:
        return (
            "not in the local cache of the Hub, and the Hub cannot be reached; run "
            f"`{download_command(source)}` on a machine with a network, or set model to a local "
            "directory"
        )
    if "out of memory" in text or "DefaultCPUAllocator" in text:
        return (
            "the weights do not fit in memory; use a smaller model or dtype, or give the job more "
            "memory"
        )
    directory = model_directory(source)
    if directory and (damage := damage_message(source, directory)):
        return damage
    if ".safetensors" in text:
        return f"the repository has no safetensors weights; {BIN_MESSAGE}"
    if "trust_remote_code" in text:
        return (
            "the model needs Python code from its repository; read that code, then set "
            "trust_remote_code: true in the recipe"
        )
    return (
        f"the model cannot be loaded: {type(error).__name__}: {text.splitlines()[0]}; check "
        "config.json and the other files of the model, and the keys model and revision of the "
        "recipe"
    )


def model_directory(source: ModelSource) -> Path | None:
    """Return the directory of a local model, or that of the Hub's cache; None if there is none."""
    if Path(source.model).is_dir():
        return Path(source.model)
    try:
        return Path(snapshot_download(**snapshot_options(source), local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError):
        return None


def damage_message(source: ModelSource, directory: Path) -> str | None:
    """Return which file of a model is damaged and what to do, or None if none is."""
    damage = find_damage(directory)
    if damage is None:
        return None
    if Path(source.model).is_dir():
        return f"{damage}; copy the file there again, or train the model again"
    # The directory is snapshots/COMMIT in that of the repository.
    return f"{damage}; delete {directory.parents[1]} and run `{download_command(source)}`"


def download_command(source: ModelSource) -> str:
    """Return the command that downloads a model of the Hub."""
    return f"hf download {source.model} --revision {source.revision}"
