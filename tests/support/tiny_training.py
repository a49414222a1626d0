"""Trains a tiny aligner in seconds, for tests."""

from pathlib import Path
from typing import Any

from recipes import make_recipe
from tiny_models import SHAPES, rows

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.correction.input_format import PAPER_FORMAT, InputFormat
from aligners.correction.train import train_aligner
from aligners.training.record import Source
from aligners.training.run import TrainingRun

SOURCE = Source("aligner", "ethical", "tiny", [])


def recipe(model_type: str = "gpt2", **changes: Any) -> BackboneRecipe:
    """Return a recipe like those in config/backbones/, with the changes and all defaults."""
    shape = {"model_type": model_type, "vocabulary_size": 500, "config": SHAPES[model_type]}
    own = {
        "from_scratch": shape,
        "dtype": "float32",
        "max_tokens": 96,
        "learning_rate": 3e-3,
        "warmup_steps": 2,
        "global_batch_size": 8,
        "micro_batch_tokens": 256,
        "epochs": 2,
        "evaluations_per_epoch": 2,
        "decoding": {"max_new_tokens": 12},
        "least_ended": 0.0,  # some tests train for a few steps, or with weights that diverge
        "batch_tokens": 4096,
    }
    return make_recipe(BackboneRecipe, **{**own, **changes})


def train(
    directory: Path, settings: BackboneRecipe, input_format: InputFormat = PAPER_FORMAT
) -> Any:
    """Train into `directory`/model on tiny rows."""
    working = directory / "work"
    working.mkdir(exist_ok=True)
    training = TrainingRun(SOURCE, settings, 1, directory / "model", working)
    return train_aligner(training, input_format, rows(36), rows(8, start=36))
