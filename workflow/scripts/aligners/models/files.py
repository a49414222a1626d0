"""The files of a model directory: which weights it has, and which files are damaged."""

import json
from collections.abc import Iterator
from pathlib import Path
from zipfile import is_zipfile

from safetensors import SafetensorError, safe_open
from tokenizers import Tokenizer

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError

WEIGHTS = {"safetensors": "*.safetensors", "bin": "*.bin"}
BIN_MESSAGE = "set weights: bin in the recipe to read .bin files (as data; no code runs)"
# The JSON files that must have an object. Other programs may keep lists in a model's directory.
OBJECTS = ("config.json", "generation_config.json", "tokenizer", "special_tokens", "added_tokens")
GENERATION_CONFIG = "generation_config.json"
# The first line of a file that Git LFS has not downloaded.
POINTER = b"version https://git-lfs"


def has_weights(directory: Path, source: ModelSource) -> bool:
    """Return whether a directory has weights in the recipe's format."""
    return any(directory.rglob(WEIGHTS[source.weights]))


def missing_shards(directory: Path, weights: str) -> list[str]:
    """Return the files that an index of weights in a directory names and that do not exist."""
    names: set[str] = set()
    for index in directory.glob(f"{weights}.index.json"):
        names.update(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    return sorted(name for name in names if not (directory / name).is_file())


def check_files(source: ModelSource) -> None:
    """Check what transformers does not check in a local model directory.

    It must have weights in the recipe's format. If its generation_config.json is damaged,
    transformers ignores it, and generation does not end at the model's end token.

    Raises:
        UserError: the directory has no such weights, or the file is damaged.
    """
    directory = Path(source.model)
    if not directory.is_dir():
        return
    if problem := find_problem(directory / GENERATION_CONFIG):
        raise UserError(f"{directory / GENERATION_CONFIG}: {problem}; copy the file there again")
    if any(directory.glob(WEIGHTS["safetensors"])):
        return
    if any(directory.glob(WEIGHTS["bin"])):
        if source.weights == "bin":
            return
        problem = f"has only .bin weights; {BIN_MESSAGE}"
    else:
        problem = "has no weights (*.safetensors); copy them there, or train the model again"
    raise UserError(f"{directory}: the model directory {problem}")


def find_damage(directory: Path) -> str | None:
    """Return the first damaged file of a model directory and its problem, or None."""
    return next(damages(directory), None)


def damages(directory: Path) -> Iterator[str]:
    """Yield the damaged files of a model directory with their problems."""
    for path in sorted(directory.iterdir()):
        if problem := find_problem(path):
            yield f"{path}: {problem}"
    for weights in WEIGHTS.values():
        for name in missing_shards(directory, weights):
            yield f"{directory / name}: no such file, but the index of the weights names it"


def find_problem(path: Path) -> str | None:
    """Return why a file of a model cannot be read, or None if it can or does not exist."""
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(len(POINTER))
    if start == POINTER:
        return "a pointer of Git LFS, not the file itself (git lfs pull downloads it)"
    if path.suffix == ".bin" and start.startswith(b"PK") and not is_zipfile(path):
        return "incomplete or damaged"
    if path.suffix == ".json":
        return find_json_problem(path)
    if path.suffix == ".safetensors":
        try:
            with safe_open(path, "np"):
                pass
        except SafetensorError as error:
            return f"incomplete or damaged ({error})"
    return None


def find_json_problem(path: Path) -> str | None:
    """Return why a JSON file of a model cannot be read, or None."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        return "not UTF-8"
    except json.JSONDecodeError as error:
        return f"line {error.lineno}: not JSON"
    if path.name.startswith(OBJECTS) and not isinstance(content, dict):
        return "not a JSON object"
    if path.name == "tokenizer.json":
        try:
            Tokenizer.from_file(str(path))
        except Exception as error:  # The library has no class of its own.
            return f"not a tokenizer ({error})"
    return None
