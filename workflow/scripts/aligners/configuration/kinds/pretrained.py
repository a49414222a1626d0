"""Keys of every recipe that may name a pretrained model."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, model_validator

from aligners.configuration.fields import Form, Line, NotDeciding, Recipe, WrongKey, shortened
from aligners.configuration.workflow_files import find_file

AFFECTS_RESULTS = False

Weights = Literal["safetensors", "bin"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]


def looks_local(model: str) -> bool:
    """Return whether a model is written as a path."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1


def model_directory(model: str) -> str:
    """Return the name of a repository of the Hub, or the path of a directory.

    Raises:
        ValueError: it is neither.
    """
    found = find_file(model)
    if os.path.exists(found) and not any(found.glob("*.json")):
        raise ValueError(
            f"{model} has no configuration of a model (*.json); give the directory of a model"
        )
    return existing_model(model)


def existing_model(model: str) -> str:
    """Return the name of a repository of the Hub, or a path that exists.

    Raises:
        ValueError: it is neither.
    """
    if os.path.exists(find_file(model)):
        return model
    if looks_local(model):
        raise ValueError(f"there is no file or directory {shortened(model)}; correct the path")
    return REPOSITORY.check(model)


REPOSITORY = Form(
    r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}(/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95})?$",
    "a repository of the Hugging Face Hub (owner/name) or a local directory",
)
ModelName = Annotated[Line, AfterValidator(model_directory)]
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

    @property
    def is_on_the_hub(self) -> bool:
        """Whether the model is a repository of the Hub, not a local directory."""
        return not self.looks_local and not find_file(self.model).exists()


class PretrainedRecipe(Recipe):
    """A recipe that may name a pretrained model."""

    together: ClassVar[tuple[str, ...]] = ("model", "revision")

    model: ModelName | None = None
    """Repository on the Hugging Face Hub, or a local directory."""
    revision: Revision | None = None
    """Commit of the repository."""
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

    def source(self, directory: Path | None = None) -> ModelSource:
        """Return the pretrained model that the recipe names, or the one in a directory.

        Raises:
            ValueError: there is no directory, and the recipe names no model.
        """
        model = str(directory) if directory else self.model
        if model is None:
            raise ValueError("the recipe names no pretrained model")
        if find_file(model).is_dir():  # in the working directory, else in the workflow's own
            model = str(find_file(model))
        return ModelSource(
            model,
            self.revision or "main",
            self.weights,
            self.trust_remote_code,
            self.gated,
        )
