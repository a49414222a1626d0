"""Checkpoints of a training: finds the last complete one, and checks the disk space."""

import logging
import shutil
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel

from aligners.core.errors import UserError
from aligners.core.hashes import file_hash
from aligners.core.rows import read_json, write_json

logger = logging.getLogger(__name__)

CHECKSUMS = "checksums.json"
# The best and the last checkpoint are kept; a third exists while it is being written.
CHECKPOINTS_KEPT = 2
MAX_CHECKPOINTS = CHECKPOINTS_KEPT + 1


def write_checksums(checkpoint: Path) -> None:
    """Write the SHA-256 of each file of a checkpoint; this file marks it as complete."""
    files = sorted(path for path in checkpoint.rglob("*") if path.is_file())
    sums = {path.relative_to(checkpoint).as_posix(): file_hash(path) for path in files}
    write_json(checkpoint / CHECKSUMS, sums)


def last_complete_checkpoint(directory: Path) -> Path | None:
    """Return the newest complete checkpoint, or None.

    Incomplete and damaged ones are deleted, since the Trainer could load them as the best later.
    """
    for checkpoint in sorted(directory.glob("checkpoint-*"), key=step_of, reverse=True):
        problem = find_problem(checkpoint)
        if problem is None:
            return checkpoint
        logger.warning(
            "%s: %s; it is deleted, and the checkpoint before it is used", checkpoint, problem
        )
        shutil.rmtree(checkpoint)
    return None


def find_problem(checkpoint: Path) -> str | None:
    """Return why a checkpoint cannot be used, or None if it can."""
    if not (checkpoint / CHECKSUMS).is_file():
        return "the checkpoint is incomplete"
    try:
        sums = read_json(checkpoint / CHECKSUMS, dict[str, str])
    except UserError:
        return f"{CHECKSUMS} is damaged"
    for name, expected in sums.items():
        path = checkpoint / name
        if not path.is_file() or file_hash(path) != expected:
            return f"{name} is damaged"
    return None


def step_of(checkpoint: Path) -> int:
    """Return the training step of a checkpoint directory."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def check_disk(model: PreTrainedModel, directory: Path, output: Path) -> None:
    """Log how much disk space the checkpoints of a model need, and check that it is free.

    A checkpoint stores each trained weight and its two moments of AdamW in float32.

    Args:
        model: the model to train.
        directory: of the checkpoints.
        output: directory of the trained model, which may be on another disk.

    Raises:
        UserError: too little space is free.
    """
    trained = sum(each.numel() for each in model.parameters() if each.requires_grad)
    checkpoint = 3 * 4 * trained  # bytes
    if any(not each.requires_grad for each in model.parameters()):
        # With adapters, only the adapters and the embeddings are saved.
        embeddings: Any = model.get_input_embeddings()
        checkpoint += 4 * embeddings.weight.numel()
    checkpoints = MAX_CHECKPOINTS * checkpoint
    exported = 4 * model.num_parameters()
    logger.info("checkpoints need up to %.2f GB in %s", checkpoints / 1e9, directory)
    # The space of earlier checkpoints is used again.
    missing = checkpoints - size_of_checkpoints(directory)
    output.parent.mkdir(parents=True, exist_ok=True)
    if output.parent.stat().st_dev == directory.stat().st_dev:
        missing += exported
    else:
        check_free(output.parent, exported, "the model needs")
    check_free(
        directory,
        missing,
        f"the model and up to {MAX_CHECKPOINTS} checkpoints of {checkpoint / 1e9:.2f} GB need",
    )


def size_of_checkpoints(directory: Path) -> int:
    """Return the size of the checkpoints in a directory, in bytes."""
    files = (path for path in directory.glob("checkpoint-*/**/*") if path.is_file())
    return sum(path.stat().st_size for path in files)


def check_free(directory: Path, needed: float, what: str) -> None:
    """Check that a directory's disk has the needed number of bytes free.

    Raises:
        UserError: it has not.
    """
    free = shutil.disk_usage(directory).free
    if free < needed:
        raise UserError(
            f"{directory}: {free / 1e9:.2f} GB are free, but {what} {needed / 1e9:.2f} GB; "
            "free some space, or replace results or results/.working with a link to a larger disk"
        )
