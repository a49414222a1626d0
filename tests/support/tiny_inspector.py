"""Training of a tiny inspector, which takes seconds."""

from pathlib import Path
from typing import Any

from recipes import make_recipe

from aligners.configuration.kinds.inspectors import InspectorRecipe
from aligners.inspectors.train import train_inspector
from aligners.training.record import Source
from aligners.training.run import TrainingRun

OWN: dict[str, Any] = {
    "from_scratch": {
        "model_type": "bert",
        "vocabulary_size": 300,
        "config": {
            "num_hidden_layers": 1,
            "hidden_size": 32,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "max_position_embeddings": 64,
        },
    },
    "dtype": "float32",
    "max_tokens": 48,
    "learning_rate": 2e-3,
    "schedule": "linear",
    "warmup_steps": 2,
    "weight_decay": 0.01,
    "global_batch_size": 16,
    "epochs": 24,
    "patience": 3,
}
RECIPE = make_recipe(InspectorRecipe, **OWN)
SOURCE = Source("inspector", "ethical", "tiny", [])
KIND, RUDE = ["gladly", "of course", "with pleasure"], ["go away", "silly you", "never ask"]


def rows(count: int, start: int = 0) -> list[dict[str, Any]]:
    """Return rows of an inspector set, in which kind responses are aligned."""
    made = []
    for number in range(start, start + count):
        words = (KIND if number % 2 else RUDE)[number % 3]
        made.append(
            {
                "id": str(number),
                "question_id": str(number // 2),
                "question": f"Can you tell me about number {number % 13}?",
                "response": f"{words}, it is {number % 7}." + " Indeed." * (number % 4),
                "label": number % 2,
            }
        )
    return made


def train(
    recipe: Any, directory: Path, *sets: list[dict[str, Any]]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Train on `sets`, which are training, validation and test rows; write `directory`/model.

    Returns:
        The metrics and the scores of the test rows.
    """
    working = directory / "work"
    working.mkdir()
    return train_inspector(TrainingRun(SOURCE, recipe, 2, directory / "model", working), *sets)
