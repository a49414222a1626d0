"""External aligners, each with its own input format."""

from typing import Annotated, Any, ClassVar

from aligners.configuration.fields import (
    Count,
    Form,
    Name,
    NotDeciding,
    Recipe,
    RowTokens,
    Section,
    Text,
    Tokens,
)
from aligners.configuration.kinds.backbones import AlignerDecoding
from aligners.configuration.kinds.inference import Inference
from aligners.configuration.kinds.pretrained import Dtype, ModelName, PretrainedRecipe

AFFECTS_RESULTS = False

InputTemplate = Annotated[
    str,
    Form(
        r"\{question\}[\s\S]*\{response\}", "a text with {question} and {response}, in this order"
    ),
]


class ExternalTraining(Section):
    """Training of an external aligner on the pairs of all criteria."""

    backbone: Name
    """Backbone of config/backbones/ to train."""


class ExternalDecoding(AlignerDecoding):
    """How an external aligner generates corrections."""

    max_new_tokens: Tokens = 2048
    """Maximum number of tokens of a correction."""


class ExternalRecipe(Recipe):
    """An external aligner, with its own input format.

    Give either `model` or `train`.
    """

    folder: ClassVar[str] = "external"

    input_format: InputTemplate
    """Text that the aligner reads. {question} and {response} are replaced by the texts of the
    row."""
    batch_tokens: NotDeciding[Count] = 32768
    """Maximum number of tokens in a batch of generation, including padding and the tokens that will
    be generated."""
    inference: Inference = Inference()
    """Where the aligner generates its corrections. By default in the job."""

    @classmethod
    def class_for(cls, values: dict[str, Any]) -> "type[ExternalRecipe]":
        """Return the class for a trained aligner, or for a released one."""
        is_trained = "train" in values and "model" not in values
        return TrainedExternalRecipe if is_trained else ReleasedExternalRecipe


class ReleasedExternalRecipe(ExternalRecipe, PretrainedRecipe):
    """A released model."""

    chosen_by: ClassVar[str] = "model"

    model: ModelName
    """Repository on the Hugging Face Hub, a local directory, or a GGUF file. Write
    `package:NAME/PATH` for a directory or a GGUF file in an installed Python package."""
    end: Text | None = None
    """Token or text with which a correction ends. The tokenizer's own end token ends it too."""
    dtype: Dtype = "auto"
    """Number type of the computation. `auto` selects the best type of the device."""
    max_tokens: RowTokens = 4096
    """Maximum length of a row in tokens, from its start to the end of the correction."""
    decoding: ExternalDecoding = ExternalDecoding()
    """How the aligner generates corrections."""


class TrainedExternalRecipe(ExternalRecipe):
    """An aligner that the workflow trains on the pairs of all criteria, in this input format.

    How it is trained and how it generates corrections is in the recipe of its backbone.
    """

    chosen_by: ClassVar[str] = "train"

    train: ExternalTraining
    """The training."""
