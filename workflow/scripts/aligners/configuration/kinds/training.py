"""Keys that the recipes of backbones and inspectors share: how a model is trained."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from aligners.configuration.fields import Form, NotDeciding, Section, Share, Text, exactly_one
from aligners.configuration.kinds.pretrained import Dtype, PretrainedRecipe

DECIDES = False

# Keys whose defaults differ between backbones and inspectors.
LearningRate = Annotated[float, Field(gt=0, le=1, description="Maximum learning rate.")]
Schedule = Annotated[
    Literal["cosine", "linear", "constant"],
    Field(description="How the learning rate changes after the warm-up."),
]
WarmupSteps = Annotated[
    int, Field(ge=0, description="Number of steps in which the learning rate rises from 0.")
]
GlobalBatchSize = Annotated[
    int,
    Field(
        ge=1,
        description="Maximum number of rows in a training step, on all GPUs together. "
        "More GPUs change the time, but not the result.",
    ),
]
MicroBatchTokens = NotDeciding[
    Annotated[
        int,
        Field(
            ge=1,
            description="Maximum number of tokens that one GPU computes at a time. "
            "Gradients are accumulated up to the global batch.",
        ),
    ]
]
Epochs = Annotated[int, Field(ge=1, description="Maximum number of passes over the training rows.")]
EvaluationsPerEpoch = Annotated[
    int,
    Field(
        ge=1,
        description="Number of evaluations in an epoch. An evaluation measures the validation loss "
        "and saves the weights.",
    ),
]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class FromScratch(Section):
    """The shape of a model that starts from random weights."""

    model_type: Annotated[
        str, Form(r"^[a-z0-9_-]+$", "the name of an architecture in lower-case letters")
    ]
    """Name of the architecture in transformers (gpt2, gpt_neox, phi, bert, ...)."""
    vocabulary_size: int = Field(ge=300)
    """Number of tokens of the tokenizer, which is trained on the training rows."""
    config: dict[str, JsonValue]
    """Options of the architecture, with their names in transformers (sizes, dropout, ...)."""


class TrainingRecipe(PretrainedRecipe):
    """A model that is trained from a pretrained one or from random weights."""

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
    validation_rows: int = Field(2000, ge=1)
    """Maximum number of validation rows on which the loss is measured. If there are more, a random
    sample is used."""
    patience: int = Field(3, ge=1)
    """The training stops after this number of evaluations without a lower validation loss."""
    max_hours: Annotated[float, Field(gt=0)] | None = None
    """The training ends after this time, summed over all its jobs. `null`: no limit."""
    checkpoint_minutes: NotDeciding[float] = Field(30, gt=0)
    """Maximum time between two checkpoints. Each evaluation also writes a checkpoint."""
    accelerate: NotDeciding[Literal["ddp", "fsdp2"]] = "ddp"
    """Launch configuration of config/accelerate/ for more than one GPU."""
    report_to: NotDeciding[Literal["none", "tensorboard"]] = "none"
    """Where the losses are recorded, in addition to the log. TensorBoard files are in
    logs/tensorboard/."""
    license: NotDeciding[Text | None] = None
    """Licence of the model for the model card, as written on the Hub. `null`: not known."""
    gradient_checkpointing: NotDeciding[bool] = False
    """If `true`, activations are computed twice instead of stored. The training is slower and needs
    less memory."""

    @model_validator(mode="after")
    def starts_from_one_model(self) -> "TrainingRecipe":
        """Check that either a pretrained model or a shape is given."""
        exactly_one(self, "model", "from_scratch")
        return self
