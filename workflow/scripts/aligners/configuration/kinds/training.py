"""Keys that the recipes of backbones and inspectors share: how a model is trained."""

from typing import Annotated, Literal

from pydantic import Field, JsonValue, model_validator

from aligners.configuration.kinds.fields import Form, NotDeciding, Section, Share, Text, exactly_one
from aligners.configuration.kinds.pretrained import Dtype, PretrainedRecipe

DECIDES = False

# Keys whose defaults differ between backbones and inspectors.
LearningRate = Annotated[float, Field(gt=0, le=1, description="Highest learning rate.")]
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
        description="Maximum number of rows in one training step, on all GPUs together. "
        "The number of GPUs changes the time, not the result.",
    ),
]
MicroBatchTokens = NotDeciding[
    Annotated[
        int,
        Field(
            ge=1,
            description="Number of tokens that one GPU computes at a time. "
            "Gradients are accumulated up to the global batch.",
        ),
    ]
]
Epochs = Annotated[int, Field(ge=1, description="Maximum number of passes over the training rows.")]
EvaluationsPerEpoch = Annotated[
    int,
    Field(
        ge=1,
        description="How often in an epoch the validation loss is measured and the weights are "
        "saved.",
    ),
]
Dropout = Annotated[float, Field(ge=0, lt=1)]


class FromScratch(Section):
    """The shape of a model that starts from random weights."""

    model_type: Annotated[
        str, Form(r"^[a-z0-9_-]+$", "the name of an architecture in lower-case letters")
    ]
    """Architecture, with its name in transformers (gpt2, gpt_neox, phi, bert, ...)."""
    vocabulary_size: int = Field(ge=300)
    """Number of tokens of the tokenizer, which is trained on the training rows."""
    config: dict[str, JsonValue]
    """Options of the architecture, with their names in transformers (sizes, dropout, ...)."""


class TrainingRecipe(PretrainedRecipe):
    """A model that is trained from a pretrained one or from random weights."""

    from_scratch: FromScratch | None = None
    """Instead of a model: the shape of one that starts from random weights."""
    dtype: Dtype = "auto"
    """Data type of the computation. `auto` selects the best type of the device."""
    max_tokens: int
    dropout: Dropout | None = None
    """Probability of all dropout layers in training. `null` keeps those of the model."""
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
    """Number of rows of the validation set on which the loss is measured, a seeded sample."""
    patience: int = Field(3, ge=1)
    """Training stops after this many evaluations without a lower validation loss."""
    max_hours: Annotated[float, Field(gt=0)] | None = None
    """Training ends after this time, summed over all of its jobs. `null` is no limit."""
    checkpoint_minutes: NotDeciding[float] = Field(30, gt=0)
    """Maximum time between two checkpoints. Each evaluation also writes one."""
    accelerate: NotDeciding[Literal["ddp", "fsdp2"]] = "ddp"
    """Launch configuration in config/accelerate/ for more than one GPU."""
    report_to: NotDeciding[Literal["none", "tensorboard"]] = "none"
    """Where the training is recorded besides its log. TensorBoard files are in
    logs/tensorboard/."""
    license: NotDeciding[Text | None] = None
    """Licence of the model for the model card, with its name on the Hub. `null` if it is not
    known."""
    gradient_checkpointing: NotDeciding[bool] = False
    """Compute activations twice instead of keeping them. This is slower and needs less memory."""

    @model_validator(mode="after")
    def starts_from_one_model(self) -> "TrainingRecipe":
        """Check that either a pretrained model or a shape is given."""
        exactly_one(self, "model", "from_scratch")
        return self
