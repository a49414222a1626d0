"""training.json, beside every trained model: from what, with what, on what and how fast."""

import importlib.metadata
import platform
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from aligners.core.hashes import file_hash
from aligners.core.rows import read_rows, write_json
from aligners.models.pretrained import best_training_dtype
from aligners.publishing.model_card import write_model_card
from aligners.training.callbacks import Clock
from aligners.training.trainer import BatchTrainer, process_state

FILE_NAME = "training.json"
LIBRARIES = ("torch", "transformers", "accelerate", "peft", "tokenizers")
# Sides of the square matrices whose product measures the hardware.
SIDES = {"cuda": 8192, "cpu": 1536}
PRODUCTS = 4


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
        steps), hours (evaluations and checkpoints included), share_of_peak, metrics.
        share_of_peak is the model FLOPs utilisation of the PaLM paper (arXiv 2204.02311, appendix
        B) against the measured rate of matrix products in the same number format.
    """
    hardware = describe_hardware(best_training_dtype(recipe["dtype"]))
    # Backward takes twice as much as forward, half of it for the gradients of weights.
    passes = 2 if recipe.get("lora") else 3
    tokens, forward = work_done(trainer, metrics["steps"])
    peak = hardware["matrix_product_flops"] * hardware["processes"]
    seconds = clock.training_seconds
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
        "hardware": hardware,
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "hours": round(clock.seconds / 3600, 4),
        "share_of_peak": round(passes * forward / seconds / peak, 4),
        "metrics": metrics,
    }


def write_record(directory: Path, record: dict[str, Any]) -> None:
    """Write training.json into a model's directory, and the model card that is made of it.

    A card of an aligner reads its input format, which must be there.
    """
    write_json(directory / FILE_NAME, record)
    write_model_card(directory, record)


def describe_file(path: Path) -> dict[str, Any]:
    """Return path, sha256 and rows of a JSON Lines file."""
    return {"path": path.as_posix(), "sha256": file_hash(path), "rows": len(read_rows(path))}


def describe_hardware(dtype: torch.dtype) -> dict[str, Any]:
    """Return device, processes, number format and the measured rate of one process's products."""
    on_gpu = torch.cuda.is_available()
    return {
        "device": torch.cuda.get_device_name() if on_gpu else platform.processor() or "cpu",
        "processes": process_state().num_processes,
        "threads": torch.get_num_threads(),
        "dtype": str(dtype).removeprefix("torch."),
        "matrix_product_flops": round(matrix_product_flops("cuda" if on_gpu else "cpu", dtype)),
    }


def matrix_product_flops(device: str, dtype: torch.dtype) -> float:
    """Return operations per second of a product of two large square matrices, the best of some."""
    side = SIDES[device]
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    best = 0.0
    for _ in range(PRODUCTS):
        started = time.perf_counter()
        # Reading a number waits for the device.
        (left @ right)[0, 0].item()
        best = max(best, 2 * side**3 / (time.perf_counter() - started))
    return best


def work_done(trainer: BatchTrainer, steps: int) -> tuple[int, float]:
    """Return tokens, and floating-point operations of the forward passes, of the first steps.

    Operations are those of products with weights and of attention within rows, half of it masked
    where it is causal; nothing that is computed again to save memory. Of the head, only the places
    with a loss count.
    """
    model: Any = trainer.model
    config = model.config.get_text_config()
    rows: Any = trainer.train_dataset
    embeddings = {id(module.weight): module.weight.numel() for module in tables(model)}
    weights = sum(
        each.numel() for each in model.parameters() if each.dim() > 1 and id(each) not in embeddings
    )
    head = config.vocab_size * config.hidden_size if "prompt_tokens" in rows[0] else 0
    tokens, operations = 0, 0.0
    for step in range(steps):
        epoch, place = divmod(step, trainer.batches.steps)
        if place == 0:
            batches = trainer.batches.batches(epoch)
        for number in batches[place]:
            row = rows[number]
            length = len(row["input_ids"])
            answer = length - row.get("prompt_tokens", length)
            pairs = length**2 / (2 if head else 1)
            attention = 2 * 2 * config.num_hidden_layers * config.hidden_size * pairs
            tokens += length
            operations += 2 * weights * length + 2 * head * answer + attention
    return tokens, operations


def tables(model: Any) -> list[Any]:
    """Return the layers that look up or predict tokens and positions."""
    found = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    head = model.get_output_embeddings()
    return [*found, head] if head is not None else found
