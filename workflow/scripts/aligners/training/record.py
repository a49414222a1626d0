"""training.json, beside every trained model: from what, with what, on what and how fast."""

import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aligners.core.hashes import file_hash
from aligners.core.rows import read_rows, write_json
from aligners.models.pretrained import best_training_dtype
from aligners.training.callbacks import Clock
from aligners.training.trainer import BatchTrainer, process_state

FILE_NAME = "training.json"
LIBRARIES = ("torch", "transformers", "accelerate", "peft", "tokenizers")


@dataclass(frozen=True)
class Source:
    """What a model is trained from.

    Attributes:
        kind: aligner or inspector.
        name: the criterion, or the aligner's name.
        recipe_name: of the backbone or the inspector.
        files: the data, read by the training.
    """

    kind: str
    name: str
    recipe_name: str
    files: Sequence[Path]


def training_record(
    source: Source,
    recipe: dict[str, Any],
    seed: int,
    trainer: BatchTrainer,
    clock: Clock,
    metrics: dict[str, Any],
) -> dict[str, Any]:
    """Return what training.json holds.

    Returns:
        kind, name, recipe_name, recipe, license, data (path, sha256, rows), versions, seed,
        hardware, tokens (seen in training, again in each epoch), tokens_per_second (of training
        steps), hours (evaluations and checkpoints included), metrics.
    """
    tokens = trainer.batches.tokens_of_steps(metrics["steps"])
    return {
        "kind": source.kind,
        "name": source.name,
        "recipe_name": source.recipe_name,
        "recipe": recipe,
        "license": recipe["license"],
        "data": [describe_file(path) for path in source.files],
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in LIBRARIES},
        },
        "seed": seed,
        "hardware": describe_hardware(best_training_dtype(recipe["dtype"])),
        "tokens": tokens,
        "tokens_per_second": round(tokens / clock.training_seconds, 1),
        "hours": round(clock.seconds / 3600, 4),
        "metrics": metrics,
    }


def write_record(directory: Path, record: dict[str, Any]) -> None:
    """Write training.json into a model's directory."""
    write_json(directory / FILE_NAME, record)


def describe_file(path: Path) -> dict[str, Any]:
    """Return path, sha256 and rows of a JSON Lines file."""
    return {"path": path.as_posix(), "sha256": file_hash(path), "rows": len(read_rows(path))}


def describe_hardware(dtype: torch.dtype) -> dict[str, Any]:
    """Return the device, the number of processes, the threads of each, and the number format."""
    on_gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or "cpu",
        "processes": process_state().num_processes,
        "threads": torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
    }
