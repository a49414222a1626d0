"""The content of metrics.json and training.json."""

import importlib.metadata
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aligners.core.hashes import file_hash
from aligners.core.rows import iterate_rows, number_of_rows
from aligners.training.process import process_state
from aligners.training.trainer import BatchTrainer

LIBRARIES = ("torch", "transformers", "accelerate", "peft", "tokenizers")


@dataclass(frozen=True)
class Source:
    """The kind and name of a model, and the data that it is trained on.

    Attributes:
        kind: aligner or inspector.
        name: the criterion, or the aligner's name.
        recipe_name: name of the backbone's or the inspector's recipe.
        files: the data that the training reads.
    """

    kind: str
    name: str
    recipe_name: str
    files: Sequence[Path]


def library_versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that affect the result of a training."""
    libraries = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), **libraries}


def describe_file(path: Path) -> dict[str, Any]:
    """Return the path, the SHA-256, the number of rows, and the licences of a JSON Lines file.

    The licences are those of the imports that the rows come from. Without one, there is no such
    key.
    """
    licenses = {row["license"] for row in iterate_rows(path) if row.get("license")}
    return {
        "path": path.as_posix(),
        "sha256": file_hash(path),
        "rows": number_of_rows(path),
        **({"licenses": sorted(licenses)} if licenses else {}),
    }


def describe_hardware(dtype: torch.dtype) -> dict[str, Any]:
    """Return the device, the numbers of processes and of threads per process, and the dtype."""
    on_gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or "cpu",
        "processes": process_state().num_processes,
        "threads": torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
    }


def count_rows(
    train: Sequence[dict[str, Any]],
    validation: Sequence[dict[str, Any]],
    test: Sequence[dict[str, Any]] = (),
) -> dict[str, int]:
    """Return train_rows, validation_rows, and the number of truncated rows in all sets."""
    return {
        "train_rows": len(train),
        "validation_rows": len(validation),
        "truncated": sum(row["truncated"] for row in [*train, *validation, *test]),
    }


def training_metrics(trainer: BatchTrainer) -> dict[str, Any]:
    """Return best_step, validation_loss, steps, epochs, parameters, unpadded_share and losses.

    An aligner also has end_loss and ended_share, of the best step.
    """
    model: Any = trainer.model
    losses = loss_history(trainer)
    ends = {
        name: entry[f"eval_{name}"]
        for entry in trainer.state.log_history
        for name in ("end_loss", "ended_share")
        if entry["step"] == trainer.state.best_global_step and f"eval_{name}" in entry
    }
    return {
        "best_step": trainer.state.best_global_step,
        "validation_loss": trainer.state.best_metric,
        **ends,
        "steps": max(entry["step"] for entry in losses),
        "epochs": max(entry["epoch"] for entry in losses),
        "parameters": model.num_parameters(),
        "unpadded_share": round(trainer.batches.unpadded_share, 4),
        "losses": losses,
    }


def loss_history(trainer: BatchTrainer) -> list[dict[str, Any]]:
    """Return the losses in order.

    Returns:
        Entries with step, epoch, and either train_loss and learning_rate, or validation_loss.
    """
    names = {"loss": "train_loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss"}
    history = []
    for entry in trainer.state.log_history:
        found = {name: entry[logged] for logged, name in names.items() if logged in entry}
        if found:
            history.append({"step": entry["step"], "epoch": round(entry["epoch"], 3), **found})
    return history
