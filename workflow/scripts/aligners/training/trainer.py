"""What the training of inspectors and of aligners have in common, around the Trainer."""

import ctypes
import logging
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.data_loader import DataLoaderShard
from torch.nn.functional import cross_entropy
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from aligners.core.rows import atomic_path
from aligners.models.pretrained import best_training_dtype
from aligners.training.batches import GlobalBatches, Rows
from aligners.training.callbacks import (
    Clock,
    EarlyStopping,
    Farewell,
    ShowProgress,
    StopAtNoNumber,
)
from aligners.training.checkpoints import KEPT, check_disk, last_whole_checkpoint, write_checksums
from aligners.training.packing import IGNORED

logger = logging.getLogger(__name__)

# Of mallopt(3).
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4


def process_state() -> PartialState:
    """Return which of the job's processes this one is."""
    return PartialState(cpu=not torch.cuda.is_available())


def with_model(
    recipe: dict[str, Any],
    make: Callable[[dict[str, Any], Sequence[str], Path, int], None],
    texts: Sequence[str],
    working_directory: Path,
    seed: int,
) -> dict[str, Any]:
    """Return a recipe that names a model, made here first if it starts from random weights.

    Args:
        recipe: of config/backbones/ or config/inspectors/.
        make: writes such a model; one of `aligners.models.from_scratch`.
        texts: what a new tokenizer is trained on.
        working_directory: where the model goes, once for all processes and all attempts.
        seed: decides the weights.
    """
    if "from_scratch" not in recipe:
        return recipe
    directory = working_directory / "random_weights"
    with process_state().main_process_first():
        if not directory.is_dir():
            make(recipe["from_scratch"], texts, directory, seed)
    return {**recipe, "model": str(directory)}


def training_arguments(
    recipe: dict[str, Any], directory: Path, seed: int, batches: GlobalBatches
) -> TrainingArguments:
    """Return the Trainer's settings: the recipe's science, and checkpoints at every evaluation."""
    evaluation_steps = max(1, -(-batches.steps // recipe["evaluations_per_epoch"]))
    on_gpu = torch.cuda.is_available()
    dtype = best_training_dtype(recipe["dtype"])
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", f"logs/tensorboard/{directory.name}")
    return TrainingArguments(
        output_dir=str(directory),
        seed=seed,
        num_train_epochs=recipe["epochs"],
        gradient_accumulation_steps=batches.micro_batches,
        activation_checkpointing=recipe["gradient_checkpointing"],
        learning_rate=recipe["learning_rate"],
        lr_scheduler_type=(
            "constant_with_warmup" if recipe["schedule"] == "constant" else recipe["schedule"]
        ),
        warmup_steps=recipe["warmup_steps"],
        weight_decay=recipe["weight_decay"],
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        use_cpu=not on_gpu,
        eval_strategy="steps",
        eval_steps=evaluation_steps,
        save_strategy="steps",
        save_steps=evaluation_steps,
        # Each step's loss is known: a continued training logs what an undisturbed one does.
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=recipe["report_to"],
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        save_total_limit=KEPT,
        restore_callback_states_from_checkpoint=True,
        remove_unused_columns=False,
        # Every weight has a part in every loss: no search for those that have none.
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
    )


def mean_cross_entropy(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Return what a micro-batch adds to the mean loss of its global batch, in nats.

    Labels are not shifted: each belongs to the logits at its own place.

    Args:
        outputs: with logits: of an aligner 1 x places x vocabulary, of an inspector rows x 2.
        labels: 1 x places, or rows.
        num_items_in_batch: labels in the global batch; without it, the mean is over `labels`.
    """
    logits = outputs["logits"].flatten(0, -2).float()  # labels x classes
    total = cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / (num_items_in_batch if num_items_in_batch is not None else labels.numel())


class BatchTrainer(Trainer):
    """A Trainer that takes its batches from `GlobalBatches`."""

    def __init__(self, batches: GlobalBatches, validation_batches: GlobalBatches, **options: Any):
        """Take the batches, and the options of the Trainer; the data sets are `Rows`."""
        super().__init__(compute_loss_func=mean_cross_entropy, **options)
        self.batches, self.validation_batches = batches, validation_batches
        # The loss is ours: the model need not know the labels, which are at their own places.
        self.model_accepts_loss_kwargs = self._loss_shifts_labels = False

    def get_train_dataloader(self) -> Any:
        """Return the loader of this process's micro-batches."""
        # Not prepared by accelerate, which would distribute the batches over the processes again.
        return DataLoaderShard(
            self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator
        )

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # The Trainer looks after the first step only: too late for a training that had ended.
        if not self.control.should_training_stop:
            super()._run_epoch(*args, **kwargs)

    @torch.no_grad()
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Return and log eval_loss: the mean over all tokens or rows of the validation sample."""
        model: Any = self.model
        model.eval()
        sums = torch.zeros(2, dtype=torch.float64)  # of the losses, and of the labels
        loader = DataLoaderShard(
            self.eval_dataset, batch_sampler=self.validation_batches, collate_fn=self.data_collator
        )
        for micro_batch in loader:
            inputs = self._prepare_inputs(micro_batch)
            labels = inputs.pop("labels")
            sums[0] += mean_cross_entropy(model(**inputs), labels, 1).item()
            sums[1] += (labels != IGNORED).sum().item()
        total, count = self.accelerator.reduce(sums.to(self.args.device), "sum").tolist()
        metrics = {"eval_loss": total / count}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            step = self.state.global_step
            write_checksums(Path(str(self.args.output_dir)) / f"checkpoint-{step}")
        self.accelerator.wait_for_everyone()

    def rows_of(self, step: int) -> str:
        """Return the ids of the rows of a training step."""
        rows: Any = self.train_dataset
        numbers = self.batches.rows_of_step(step - 1)  # The Trainer counts from 1.
        return "rows " + ", ".join(str(rows[number]["id"]) for number in numbers)


def make_trainer(
    recipe: dict[str, Any],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[dict[str, Any]],
    validation: Sequence[dict[str, Any]],
    collate: Any,
    packed: bool,
    working_directory: Path,
    seed: int,
) -> BatchTrainer:
    """Return a trainer.

    Args:
        recipe: of config/backbones/ or config/inspectors/.
        model, tokenizer: what is trained, and what is saved with it.
        train, validation: encoded rows, each with id and input_ids.
        collate: makes a model's inputs, with labels, of rows.
        packed: whether it packs them.
        working_directory: where checkpoints go.
        seed: what the order of the rows depends on.

    Raises:
        UserError: there are more processes than rows in a batch.
    """
    state = process_state()
    shared: dict[str, Any] = {
        "packed": packed,
        "processes": state.num_processes,
        "process": state.process_index,
    }
    batches = GlobalBatches(
        [len(row["input_ids"]) for row in train],
        recipe["global_batch_size"],
        recipe["micro_batch_tokens"],
        seed=seed,
        epochs=recipe["epochs"],
        **shared,
    )
    validation_batches = GlobalBatches(
        [len(row["input_ids"]) for row in validation],
        len(validation),
        2 * recipe["micro_batch_tokens"],  # Without gradients, more fits.
        **shared,
    )
    return BatchTrainer(
        batches,
        validation_batches,
        model=model,
        args=training_arguments(recipe, working_directory, seed, batches),
        train_dataset=Rows(train),
        eval_dataset=Rows(validation),
        processing_class=tokenizer,
        data_collator=collate,
    )


def keep_freed_memory() -> None:
    """Let the C library keep the memory of tensors that are gone.

    It would give large ones back and fetch the same pages anew at every step, which takes a tenth
    of the time on a processor. C libraries other than glibc are left alone.
    """
    library: Any = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(library, "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        library.mallopt(M_TOP_PAD, 2**28)


def train_to_the_best(trainer: BatchTrainer, recipe: dict[str, Any], description: str) -> Clock:
    """Train until the patience, the epochs or the hours end, from the last checkpoint if any.

    The trainer's model then has the weights of the best evaluation.

    Returns:
        The clock of the training.

    Raises:
        UserError: the loss is no number, or there is too little room for checkpoints.
    """
    keep_freed_memory()
    directory = Path(str(trainer.args.output_dir))
    trainer.remove_callback(PrinterCallback)  # It writes to the terminal, past the log.
    trainer.add_callback(StopAtNoNumber(trainer.rows_of))
    trainer.add_callback(EarlyStopping(early_stopping_patience=recipe["patience"]))
    trainer.add_callback(Clock(recipe["max_hours"], recipe["checkpoint_minutes"]))
    state = process_state()
    if state.is_main_process:
        trainer.add_callback(ShowProgress(description))
        model: Any = trainer.model
        check_disk(model, directory)
    trainer.add_callback(Farewell())
    with state.main_process_first():
        checkpoint = last_whole_checkpoint(directory)
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    callbacks = trainer.callback_handler.callbacks
    return next(each for each in callbacks if isinstance(each, Clock))


def export(trainer: BatchTrainer, directory: Path, write_beside: Callable[[Path], None]) -> None:
    """Write a trainer's model and tokenizer for use, whole or not at all.

    Args:
        trainer: all processes call this with theirs, since each may hold a part of the weights.
        directory: where the model goes.
        write_beside: writes what else belongs into the directory that it is given.
    """
    model: Any = trainer.model
    model.config.use_cache = True  # The Trainer turns it off.
    if trainer.is_world_process_zero():
        with atomic_path(directory) as partial:
            trainer.save_model(str(partial))
            (partial / "training_args.bin").unlink()
            write_beside(partial)
    else:
        trainer.save_model(str(directory))
    trainer.accelerator.wait_for_everyone()


def training_metrics(trainer: BatchTrainer) -> dict[str, Any]:
    """Return how a training went.

    Returns:
        best_step, validation_loss, steps, epochs, parameters, unpadded_share, losses.
    """
    model: Any = trainer.model
    losses = loss_history(trainer)
    return {
        "best_step": trainer.state.best_global_step,
        "validation_loss": trainer.state.best_metric,
        "steps": max(entry["step"] for entry in losses),
        "epochs": max(entry["epoch"] for entry in losses),
        "parameters": model.num_parameters(),
        "unpadded_share": round(trainer.batches.unpadded_share, 4),
        "losses": losses,
    }


def loss_history(trainer: Trainer) -> list[dict[str, Any]]:
    """Return the losses in order.

    Returns:
        Entries with step, epoch, and train_loss and learning_rate, or validation_loss.
    """
    names = {"loss": "train_loss", "learning_rate": "learning_rate", "eval_loss": "validation_loss"}
    history = []
    for entry in trainer.state.log_history:
        found = {name: entry[logged] for logged, name in names.items() if logged in entry}
        if found:
            history.append({"step": entry["step"], "epoch": round(entry["epoch"], 3), **found})
    return history
