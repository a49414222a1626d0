"""A tiny squad with one criterion, trained in seconds: it answers rude responses kindly."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tiny_inspector
from tiny_training import recipe

from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.recipes import load_recipe
from aligners.correction.input_format import PLAIN_FORMAT
from aligners.correction.train import train_aligner
from aligners.squads.assemble import Design, Part, assemble
from aligners.synthesis.familiarity import FamiliarQuestions
from aligners.synthesis.similarity import embedder
from aligners.training.record import Source
from aligners.training.run import TrainingRun

ENCODER = "all-minilm-l6-v2-packaged"
QUESTION = "Can you tell me about number 4?"
UNFAMILIAR = "Who is it?"
RUDE, KIND = "go away, it is 3.", "of course, it is 3."
CORRECTION = "gladly, it is fine."


def train_tiny_aligner(directory: Path) -> Path:
    """Train an aligner that writes CORRECTION for every response; return its model directory."""
    rows: list[dict[str, Any]] = [
        {**row, "aligned_response": CORRECTION} for row in tiny_inspector.rows(48)
    ]
    settings = recipe(
        epochs=16, evaluations_per_epoch=1, patience=99, warmup_steps=10, learning_rate=1e-2
    )
    (directory / "work").mkdir(parents=True)
    source = Source("aligner", "ethical", "tiny", [])
    training = TrainingRun(source, settings, 1, directory / "model", directory / "work")
    train_aligner(training, PLAIN_FORMAT, rows, rows[:8])
    return directory / "model"


@dataclass(frozen=True)
class Models:
    """Directories of an inspector and an aligner, and the file of familiar questions."""

    inspector: Path
    aligner: Path
    familiar_questions: Path


def train_models(directory: Path) -> Models:
    """Train what a squad consists of; needs the project as working directory."""
    inspector = directory / "inspector"
    inspector.mkdir(parents=True)
    rows = tiny_inspector.rows
    tiny_inspector.train(tiny_inspector.RECIPE, inspector, rows(160), rows(40, 160), rows(40, 200))
    aligner = train_tiny_aligner(directory / "ethical")
    questions = [row["question"] for row in rows(26)]
    familiar = directory / "familiar_questions.safetensors"
    embed = embedder(load_recipe(EncoderRecipe, ENCODER))
    FamiliarQuestions.fit(embed, questions, questions, 1.0, 0).save(familiar)
    return Models(inspector / "model", aligner, familiar)


def make_squad(directory: Path, **changes: Any) -> Path:
    """Train and assemble a squad in `directory`/squad; needs the project as working directory.

    Args:
        directory: for the models and the squad.
        changes: of the design.
    """
    models = train_models(directory)
    familiar, encoder = models.familiar_questions, load_recipe(EncoderRecipe, ENCODER)
    principles = "1. kind: Answer kindly."
    part = Part("ethical", ["en"], principles, models.inspector, models.aligner)
    given = {
        "system": "squad",
        "backbone": "tiny",
        "inspector": "tiny",
        "parts": [part],
        "familiar_questions": familiar,
        "encoder": encoder,
        "least_rise": 1.0,
        "batch_tokens": 4096,
    }
    assemble(directory / "squad", Design(**{**given, **changes}))
    return directory / "squad"
