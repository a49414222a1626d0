"""Keys of every recipe that may name a pretrained model."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from aligners.configuration.fields import NotDeciding, Recipe, Text, together
from aligners.configuration.workflow_files import find_file

DECIDES = False

Weights = Literal["safetensors", "bin"]
Dtype = Literal["auto", "bfloat16", "float16", "float32"]


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
        return self.model.startswith((".", "/", "~")) or self.model.count("/") > 1

    @property
    def is_on_the_hub(self) -> bool:
        """Whether the model is a repository of the Hub, not a local directory."""
        return not self.looks_local and not find_file(self.model).exists()


class PretrainedRecipe(Recipe):
    """A recipe that may name a pretrained model."""

    model: Text | None = None
    """Repository on the Hugging Face Hub, or a local directory."""
    revision: Text | None = None
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
    def model_has_a_revision(self) -> "PretrainedRecipe":
        """Check that model and revision are given together."""
        together(self, "model", "revision")
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
