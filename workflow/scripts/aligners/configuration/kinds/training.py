"""Keys that the recipes of backbones and inspectors share: how a model is trained."""

import difflib
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, JsonValue

from aligners.configuration.fields import (
    Count,
    Duration,
    Few,
    Form,
    Line,
    NotDeciding,
    Section,
    Share,
    WrongKey,
    shortened,
)
from aligners.configuration.kinds.pretrained import Dtype, PretrainedRecipe

AFFECTS_RESULTS = False

# Keys whose defaults differ between backbones and inspectors.
LearningRate = Annotated[float, Field(ge=1e-9, le=1, description="Maximum learning rate.")]
Schedule = Annotated[
    Literal["cosine", "linear", "constant"],
    Field(description="How the learning rate changes after the warm-up."),
]
WarmupSteps = Annotated[
    int,
    Field(
        ge=0,
        le=1_000_000_000,
        description="Number of steps in which the learning rate rises from 0.",
    ),
]
GlobalBatchSize = Annotated[
    Count,
    Field(
        description="Maximum number of rows in a training step, on all GPUs together. "
        "More GPUs change the time, but not the result.",
    ),
]
MicroBatchTokens = NotDeciding[
    Annotated[
        Count,
        Field(
            description="Maximum number of tokens that one GPU computes at a time. "
            "Gradients are accumulated up to the global batch.",
        ),
    ]
]
Epochs = Annotated[Few, Field(description="Maximum number of passes over the training rows.")]
EvaluationsPerEpoch = Annotated[
    Few,
    Field(
        description="Number of evaluations in an epoch. An evaluation measures the validation loss "
        "and saves the weights.",
    ),
]
Dropout = Annotated[float, Field(ge=0, lt=1)]
LARGEST_OPTION = 1_000_000_000
# The workflow sets them from the tokenizer.
TOKENIZER_OPTIONS = ("vocab_size", "bos_token_id", "eos_token_id", "pad_token_id")


def known_architecture(model_type: str) -> str:
    """Return the name of an architecture of transformers.

    Raises:
        ValueError: the installed transformers does not have it.
    """
    package = find_spec("transformers")
    if package is None or package.origin is None:  # Jobs can have an environment of their own.
        return model_type
    # Almost each architecture has a folder. To read the list, transformers takes seconds.
    folder = model_type.replace("-", "_")
    models = Path(package.origin).parent / "models"
    if (models / folder / f"modeling_{folder}.py").is_file():
        return model_type
    from transformers import CONFIG_MAPPING

    if model_type not in CONFIG_MAPPING:
        close = difflib.get_close_matches(model_type, CONFIG_MAPPING, n=1)
        hint = f"did you mean {close[0]}?" if close else "use one such as gpt2 or bert"
        raise ValueError(f"{model_type!r} is not an architecture of transformers; {hint}")
    return model_type


def own_options(options: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Return the options of an architecture.

    Raises:
        ValueError: they contain one that the workflow sets itself, or a huge number.
    """
    for name, value in options.items():
        if isinstance(value, int | float) and abs(value) > LARGEST_OPTION:
            raise WrongKey(name, f"{shortened(value)} is too large for a model; lower it")
    for name in ("model_type", *TOKENIZER_OPTIONS):
        if name in options:
            raise WrongKey(name, f"the workflow sets the option {name} itself; remove it")
    return options


class FromScratch(Section):
    """The shape of a model that starts from random weights."""

    model_type: Annotated[
        str,
        Form(r"^[a-z0-9_-]{1,64}$", "the name of an architecture in lower-case letters"),
        AfterValidator(known_architecture),
    ]
    """Name of the architecture in transformers (gpt2, gpt_neox, phi, bert, ...)."""
    vocabulary_size: int = Field(ge=300, le=10_000_000)
    """Number of tokens of the tokenizer, which is trained on the training rows."""
    config: Annotated[dict[str, JsonValue], AfterValidator(own_options)]
    """Options of the architecture, with their names in transformers (sizes, dropout, ...)."""


class TrainingRecipe(PretrainedRecipe):
    """A model that is trained from a pretrained one or from random weights."""

    either: ClassVar[tuple[str, ...]] = ("model", "from_scratch")

    from_scratch: FromScratch | None = None
    """Give this instead of `model`: the architecture of a model that starts from random weights."""
    dtype: Dtype = "auto"
    """Number type of the computation. `auto` selects the best type of the device."""
    max_tokens: int
    dropout: Dropout | None = None
    """Probability of all dropout layers in training. `null` keeps the values of the model."""
    learning_rate: LearningRate
    schedule: Schedule
    warmup_steps: WarmupSteps
    weight_decay: Share = 0.01
    """Weight decay of AdamW."""
    global_batch_size: GlobalBatchSize
    micro_batch_tokens: MicroBatchTokens
    epochs: Epochs
    evaluations_per_epoch: EvaluationsPerEpoch
    validation_rows: Count = 2000
    """Maximum number of validation rows on which the loss is measured. If there are more, a random
    sample is used."""
    patience: Few = 3
    """The training stops after this number of evaluations without a lower validation loss."""
    max_hours: Duration | None = None
    """The training ends after this time, summed over all its jobs. `null`: no limit."""
    checkpoint_minutes: NotDeciding[Duration] = 30.0
    """Maximum time between two checkpoints. Each evaluation also writes a checkpoint."""
    accelerate: NotDeciding[Literal["ddp", "fsdp2"]] = "ddp"
    """Launch configuration of config/accelerate/ for more than one GPU."""
    report_to: NotDeciding[Literal["none", "tensorboard"]] = "none"
    """Where the losses are recorded, in addition to the log. TensorBoard files are in
    logs/tensorboard/."""
    license: NotDeciding[Line | None] = None
    """Licence of the model for the model card, as written on the Hub. `null`: not known."""
    gradient_checkpointing: NotDeciding[bool] = False
    """If `true`, activations are computed twice instead of stored. The training is slower and needs
    less memory."""
