"""Backbones: causal language models that become aligners."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar, Literal

from aligners.configuration.fields import (
    Count,
    Few,
    NotDeciding,
    Positive,
    RepetitionPenalty,
    RowTokens,
    Section,
    Share,
    Tokens,
)
from aligners.configuration.kinds.inference import Inference
from aligners.configuration.kinds.pretrained import ModelSource
from aligners.configuration.kinds.training import (
    Dropout,
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


class Lora(Section):
    """Low-rank adapters."""

    rank: Few
    """Rank of an adapter."""
    alpha: Positive = 32.0
    """The output of the adapters is scaled by alpha / rank."""
    dropout: Dropout = 0.0
    """Dropout probability before an adapter."""


class AlignerDecoding(Section):
    """How an aligner generates corrections."""

    max_new_tokens: Tokens = 512
    """Maximum number of tokens of a correction."""
    repetition_penalty: RepetitionPenalty = 1.0
    """Repetition penalty. 1 means no penalty."""


class BackboneRecipe(TrainingRecipe):
    """A causal language model that becomes an aligner.

    Give either `model` or `from_scratch`.
    """

    folder: ClassVar[str] = "backbones"
    counted_apart: ClassVar[tuple[str, ...]] = ("inference",)

    learning_rate: LearningRate = 1.0e-5
    schedule: Schedule = "cosine"
    warmup_steps: WarmupSteps = 100
    global_batch_size: GlobalBatchSize = 96
    micro_batch_tokens: MicroBatchTokens = 4096
    epochs: Epochs = 3
    evaluations_per_epoch: EvaluationsPerEpoch = 4
    attention: Literal["eager", "sdpa", "flash_attention_2"] = "sdpa"
    """Which implementation of attention transformers uses."""
    max_tokens: RowTokens = 1024
    """Maximum length of a row in tokens, from its start to the end of the correction."""
    lora: Lora | None = None
    """If given, low-rank adapters in all linear layers are trained, and merged into the weights at
    the end. With `null`, all weights are trained."""
    format: Literal["plain", "paper"] = "plain"
    """Texts around a question, a response and a correction. `plain` is text with the backbone's own
    end token. `paper` has the paper's separators, which are added to the tokenizer. An external
    aligner has the `input_format` of its own recipe."""
    least_ended: NotDeciding[Share] = 0.5
    """The training fails if, after a smaller share of the validation corrections, the end token is
    the most probable one. Such an aligner seldom ends a correction, and then changes nothing."""
    decoding: AlignerDecoding = AlignerDecoding()
    """How the trained aligner generates corrections."""
    batch_tokens: NotDeciding[Count] = 32768
    """Maximum number of tokens in a batch of generation, including padding and the tokens that will
    be generated."""
    inference: Inference = Inference()
    """Where the trained aligners generate their corrections. By default in the job."""

    def source(self, directory: Path | None = None) -> ModelSource:
        """Return the pretrained model, with its implementation of the attention."""
        return replace(super().source(directory), attention=self.attention)
