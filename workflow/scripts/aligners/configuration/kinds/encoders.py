"""Sentence encoders."""

from typing import Annotated, ClassVar

from aligners.configuration.fields import Few, Form, NotDeciding, Tokens
from aligners.configuration.kinds.pretrained import PretrainedRecipe

AFFECTS_RESULTS = False


class EncoderRecipe(PretrainedRecipe):
    """A sentence encoder. Give either `model` with `revision`, or `package`."""

    folder: ClassVar[str] = "encoders"
    either: ClassVar[tuple[str, ...]] = ("model", "package")

    package: (
        Annotated[str, Form(r"^[A-Za-z_][A-Za-z0-9_.]{0,99}$", "the name of a Python package")]
        | None
    ) = None
    """Give this instead of `model`: an installed Python package that contains the weights and has
    the function get_model_path()."""
    max_tokens: Tokens = 256
    """Maximum length of a text in tokens. The rest of a longer text is not read."""
    batch_size: NotDeciding[Few] = 256
    """Number of texts in a batch."""
