"""External aligners, each with its own input format."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from aligners.configuration.fields import Form, Name, NotDeciding, Section, exactly_one
from aligners.configuration.kinds.backbones import AlignerDecoding
from aligners.configuration.kinds.pretrained import Dtype, PretrainedRecipe

DECIDES = False

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

    max_new_tokens: int = Field(2048, ge=1)
    """Maximum number of tokens of a correction."""


class ExternalRecipe(PretrainedRecipe):
    """An external aligner, with its own input format.

    Give either `model` with `revision`, or `train`.
    """

    folder: ClassVar[str] = "external"

    train: ExternalTraining | None = None
    """Give this instead of `model` to train an aligner on the pairs of all criteria, in this input
    format."""
    input_format: InputTemplate
    """Text that the aligner reads. {question} and {response} are replaced by the texts of the
    row."""
    dtype: Dtype = "auto"
    """Number type of the computation. `auto` selects the best type of the device."""
    max_tokens: int = Field(4096, ge=16)
    """Maximum length of a row in tokens, from its start to the end of the correction."""
    decoding: ExternalDecoding = ExternalDecoding()
    """How the aligner generates corrections."""
    batch_tokens: NotDeciding[int] = Field(32768, ge=1)
    """Maximum number of tokens in a batch of generation, including padding and the tokens that will
    be generated."""

    @model_validator(mode="after")
    def names_one_aligner(self) -> "ExternalRecipe":
        """Check that either a model or a training is given."""
        exactly_one(self, "model", "train")
        return self
