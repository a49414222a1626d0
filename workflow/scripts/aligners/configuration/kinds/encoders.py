"""Sentence encoders."""

from typing import ClassVar

from aligners.configuration.fields import Few, NotDeciding, Tokens
from aligners.configuration.kinds.pretrained import ModelName, PretrainedRecipe

AFFECTS_RESULTS = False


class EncoderRecipe(PretrainedRecipe):
    """A sentence encoder."""

    folder: ClassVar[str] = "encoders"

    model: ModelName
    """Repository on the Hugging Face Hub, or a local directory. Write `package:NAME/PATH` for a
    directory in an installed Python package."""
    max_tokens: Tokens = 256
    """Maximum length of a text in tokens. The rest of a longer text is not read."""
    batch_size: NotDeciding[Few] = 256
    """Number of texts in a batch."""
