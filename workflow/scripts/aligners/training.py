"""What the training of inspectors and of aligners have in common, around the Trainer.

The rows' order depends on the seed and the epoch alone, not on the number of GPUs nor on what was
drawn before, so that a killed job goes on exactly where its last complete checkpoint was.
"""

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch.utils.data import Dataset, Sampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from aligners.errors import UserError
from aligners.pretrained import best_dtype
from aligners.progress import Progress

# Batches between which rows are sorted by length: large enough for little padding.
BATCHES_SORTED_TOGETHER = 32


def process_state() -> PartialState:
    """Return which of the job's processes this one is."""
    return PartialState(cpu=not torch.cuda.is_available())


def device_batches(
    global_batch_size: int, micro_batch_size: int, processes: int
) -> tuple[int, int]:
    """Return rows at a time on one device, and how often gradients are accumulated.

    Their product with `processes` is exactly the global batch, whatever the number of GPUs.

    Raises:
        UserError: the global batch cannot be shared evenly.
    """
    share, rest = divmod(global_batch_size, processes)
    if rest or not share:
        raise UserError(
            f"a global batch of {global_batch_size} rows cannot be shared evenly by {processes} "
            "processes; start as many as divide it"
        )
    micro = max(
        size for size in range(1, share + 1) if share % size == 0 and size <= micro_batch_size
    )
    return micro, share // micro


def training_arguments(
    recipe: dict[str, Any],
    directory: Path,
    seed: int,
    rows: int,
    batches: tuple[int, int],
    evaluations_per_epoch: int,
) -> TrainingArguments:
    """Return the Trainer's settings: the recipe's science, and checkpoints at every evaluation."""
    micro, accumulation = batches
    steps_per_epoch = math.ceil(rows / (micro * accumulation * process_state().num_processes))
    evaluation_steps = max(1, math.ceil(steps_per_epoch / evaluations_per_epoch))
    on_gpu = torch.cuda.is_available()
    dtype = best_dtype(recipe["dtype"]) if on_gpu else torch.float32
    return TrainingArguments(
        output_dir=str(directory),
        seed=seed,
        num_train_epochs=recipe["epochs"],
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=micro * 2,
        gradient_accumulation_steps=accumulation,
        activation_checkpointing=recipe.get("gradient_checkpointing", False),
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
        logging_steps=max(1, evaluation_steps // 4),
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        save_total_limit=1,
        restore_callback_states_from_checkpoint=True,
        remove_unused_columns=False,
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
    )


class Rows(Dataset[dict[str, Any]]):
    """Encoded rows in memory, each with its `input_ids`."""

    def __init__(self, rows: Sequence[dict[str, Any]]):
        """Keep the rows."""
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


def by_length(rows: Sequence[dict[str, Any]]) -> Rows:
    """Return rows sorted by length, for evaluation with little padding."""
    return Rows(sorted(rows, key=lambda row: len(row["input_ids"])))


class LengthGroupedSampler(Sampler[int]):
    """Row numbers in a random order in which the rows of one global batch are of similar length.

    Unlike the sampler of transformers, the order is a function of seed and epoch: it is the same
    after a resume, and for any number of processes.
    """

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int):
        """Prepare the order of the first epoch."""
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; accelerate calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch_size * BATCHES_SORTED_TOGETHER
        batches = []
        for start in range(0, len(order), size):
            chunk = sorted(order[start : start + size], key=lambda row: self.lengths[row])
            batches += [
                chunk[first : first + self.batch_size]
                for first in range(0, len(chunk), self.batch_size)
            ]
        # A batch that is not full must stay the last: micro-batches would straddle two others.
        full = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [batch for batch in batches if len(batch) < self.batch_size]
        for position in torch.randperm(len(full), generator=generator).tolist():
            yield from full[position]
        for batch in rest:
            yield from batch


class GroupedTrainer(Trainer):
    """A Trainer whose rows come grouped by length."""

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        rows: Any = train_dataset if train_dataset is not None else self.train_dataset
        global_batch_size = (
            self.args.per_device_train_batch_size
            * self.args.gradient_accumulation_steps
            * self.args.world_size
        )
        lengths = [len(row["input_ids"]) for row in rows]
        return LengthGroupedSampler(lengths, global_batch_size, self.args.seed)


class EarlyStopping(EarlyStoppingCallback):
    """Early stop that a killed job remembers: one that had stopped does not go on to train."""

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Stop at once if the patience was at its end when the checkpoint was written."""
        super().on_train_begin(args, state, control, **kwargs)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


class ShowProgress(TrainerCallback):
    """Shows how many training steps are done."""

    def __init__(self, description: str):
        """Remember what is trained."""
        self.description = description

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Open the bar, at the step of the checkpoint if there was one."""
        self.bar = Progress(state.max_steps, self.description, "steps", state.global_step)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Count a step."""
        self.bar.update()

    def on_train_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Close the bar."""
        self.bar.close()


def train_to_the_best(trainer: Trainer, patience: int, description: str) -> None:
    """Train until the patience or the epochs end, from the last checkpoint if there is one.

    The trainer's model then has the weights of the best evaluation.
    """
    trainer.remove_callback(PrinterCallback)  # It writes to the terminal, past the log.
    trainer.add_callback(EarlyStopping(early_stopping_patience=patience))
    if trainer.is_world_process_zero():
        trainer.add_callback(ShowProgress(description))
    checkpoint = last_complete_checkpoint(Path(str(trainer.args.output_dir)))
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)


def save_model(trainer: Trainer, directory: Path) -> None:
    """Write a trainer's model and tokenizer for use, without what was for the training only."""
    model: Any = trainer.model
    model.config.use_cache = True  # The Trainer turns it off.
    trainer.save_model(str(directory))
    (directory / "training_args.bin").unlink()


def last_complete_checkpoint(directory: Path) -> Path | None:
    """Return the newest checkpoint that was written to its end, or None.

    The Trainer writes a checkpoint's state last, so a killed one has none or half of it.
    """
    for checkpoint in sorted(directory.glob("checkpoint-*"), key=step_of, reverse=True):
        try:
            json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            continue
        return checkpoint
    return None


def step_of(checkpoint: Path) -> int:
    """Return the training step of a checkpoint directory."""
    return int(checkpoint.name.rsplit("-", 1)[1])


def training_metrics(trainer: Trainer) -> dict[str, Any]:
    """Return how a training went: best_step, validation_loss, steps, epochs, parameters, losses."""
    model: Any = trainer.model
    losses = loss_history(trainer)
    return {
        "best_step": trainer.state.best_global_step,
        "validation_loss": trainer.state.best_metric,
        "steps": max(entry["step"] for entry in losses),
        "epochs": max(entry["epoch"] for entry in losses),
        "parameters": model.num_parameters(),
        "losses": losses,
    }


def loss_history(trainer: Trainer) -> list[dict[str, Any]]:
    """Return the losses in order: entries with step, epoch, and train_loss or validation_loss."""
    names = {"loss": "train_loss", "eval_loss": "validation_loss"}
    history = []
    for entry in trainer.state.log_history:
        for logged, name in names.items():
            if logged in entry:
                place = {"step": entry["step"], "epoch": round(entry["epoch"], 3)}
                history.append({**place, name: round(entry[logged], 6)})
    return history
