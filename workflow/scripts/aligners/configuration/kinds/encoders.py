"""Sentence encoders."""

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from aligners.configuration.fields import Form, NotDeciding, exactly_one
from aligners.configuration.kinds.pretrained import PretrainedRecipe

DECIDES = False


class EncoderRecipe(PretrainedRecipe):
    """A sentence encoder. Give either `model` with `revision`, or `package`."""

    folder: ClassVar[str] = "encoders"

    package: (
        Annotated[str, Form(r"^[A-Za-z_][A-Za-z0-9_.]*$", "the name of a Python package")] | None
    ) = None
    """Give this instead of `model`: an installed Python package that contains the weights and has
    the function get_model_path()."""
    max_tokens: int = Field(256, ge=1)
    """Maximum length of a text in tokens. The rest of a longer text is not read."""
    batch_size: NotDeciding[int] = Field(256, ge=1)
    """Number of texts in a batch."""

    @model_validator(mode="after")
    def names_one_encoder(self) -> "EncoderRecipe":
        """Check that either a model or a package is given."""
        exactly_one(self, "model", "package")
        return self
