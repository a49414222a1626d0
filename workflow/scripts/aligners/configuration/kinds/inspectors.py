"""Inspectors: classifiers of responses."""

from typing import ClassVar

from aligners.configuration.fields import Positive, RowTokens
from aligners.configuration.kinds.training import (
    Epochs,
    EvaluationsPerEpoch,
    GlobalBatchSize,
    LearningRate,
    MicroBatchTokens,
    Schedule,
    TrainingRecipe,
    WarmupSteps,
)

AFFECTS_RESULTS = False


class InspectorRecipe(TrainingRecipe):
    """A classifier of responses. Give either `model` or `from_scratch`."""

    folder: ClassVar[str] = "inspectors"

    learning_rate: LearningRate = 2.0e-5
    schedule: Schedule = "linear"
    warmup_steps: WarmupSteps = 0
    global_batch_size: GlobalBatchSize = 8
    micro_batch_tokens: MicroBatchTokens = 8192
    epochs: Epochs = 40
    evaluations_per_epoch: EvaluationsPerEpoch = 1
    max_tokens: RowTokens = 512
    """Maximum length of question and response together, in tokens. In training, longer rows are
    truncated. Otherwise, a longer response is scored in overlapping windows."""
    cost_of_false_alarm: Positive = 1.0
    """How bad it is that an aligned response is corrected, if it is as bad as 1 that a misaligned
    one is left as it is. It decides the threshold."""
