"""A Trainer of transformers with the batches and the loss of this library."""

import os
from pathlib import Path
from typing import Any

import torch
from accelerate.data_loader import DataLoaderShard
from torch.nn.functional import cross_entropy
from transformers import Trainer, TrainingArguments
from transformers.trainer_utils import rotate_checkpoints

from aligners.configuration.kinds.training import TrainingRecipe
from aligners.models.pretrained import best_training_dtype
from aligners.training.batches import GlobalBatches
from aligners.training.callbacks import Clock
from aligners.training.checkpoints import CHECKPOINTS_KEPT, write_checksums
from aligners.training.packing import IGNORED


def training_arguments(
    recipe: TrainingRecipe, directory: Path, seed: int, batches: GlobalBatches
) -> TrainingArguments:
    """Return the Trainer's settings from the recipe, with a checkpoint at every evaluation."""
    evaluation_steps = max(1, -(-batches.steps // recipe.evaluations_per_epoch))
    on_gpu = torch.cuda.is_available()
    dtype = best_training_dtype(recipe.dtype)
    os.environ.setdefault("TENSORBOARD_LOGGING_DIR", f"logs/tensorboard/{directory.name}")
    return TrainingArguments(
        output_dir=str(directory),
        seed=seed,
        num_train_epochs=recipe.epochs,
        gradient_accumulation_steps=batches.micro_batches,
        activation_checkpointing=recipe.gradient_checkpointing,
        learning_rate=recipe.learning_rate,
        lr_scheduler_type=(
            "constant_with_warmup" if recipe.schedule == "constant" else recipe.schedule
        ),
        warmup_steps=recipe.warmup_steps,
        weight_decay=recipe.weight_decay,
        bf16=dtype == torch.bfloat16,
        fp16=dtype == torch.float16,
        use_cpu=not on_gpu,
        eval_strategy="steps",
        eval_steps=evaluation_steps,
        save_strategy="steps",
        save_steps=evaluation_steps,
        # Every step is logged, so that the log does not depend on interruptions.
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=recipe.report_to,
        load_best_model_at_end=True,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        restore_callback_states_from_checkpoint=True,
        remove_unused_columns=False,
        # Every weight has a gradient in every step, so DDP does not have to search for unused ones.
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=on_gpu,
        disable_tqdm=True,
    )


def mean_cross_entropy(
    outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
) -> torch.Tensor:
    """Return the part of a micro-batch in the mean loss of its global batch, in nats.

    This function does not shift labels: each label belongs to the logits at the same index.

    Args:
        outputs: with logits: of an aligner rows x tokens x vocabulary (a pack is one row), of an
            inspector rows x 2.
        labels: rows x tokens, or rows.
        num_items_in_batch: number of labels in the global batch; by default that of `labels`.
    """
    if num_items_in_batch is None:
        num_items_in_batch = (labels != IGNORED).sum()
    logits = outputs["logits"].flatten(0, -2).float()  # labels x classes
    total = cross_entropy(logits, labels.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / num_items_in_batch


class BatchTrainer(Trainer):
    """A Trainer that takes its batches from `GlobalBatches`."""

    def __init__(
        self,
        batches: GlobalBatches,
        validation_batches: GlobalBatches,
        end_token_id: int | None = None,
        **options: Any,
    ):
        """Take the batches and the options of the Trainer; its data sets must be `RowDataset`.

        `end_token_id` is the token at the end of a completion; None for an inspector.
        """
        super().__init__(compute_loss_func=mean_cross_entropy, **options)
        self.batches, self.validation_batches = batches, validation_batches
        self.end_token_id = end_token_id
        # The model gets no labels, because compute_loss_func computes the loss without shifting.
        self.model_accepts_loss_kwargs = self._loss_shifts_labels = False

    def get_train_dataloader(self) -> Any:
        """Return the loader of this process's micro-batches."""
        # accelerate does not prepare the loader: it would distribute the batches a second time.
        return DataLoaderShard(
            self.train_dataset, batch_sampler=self.batches, collate_fn=self.data_collator
        )

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # The Trainer checks only after a step, which is too late if the training has already ended.
        if not self.control.should_training_stop:
            super()._run_epoch(*args, **kwargs)

    @torch.no_grad()
    def evaluate(self, *args: Any, **kwargs: Any) -> dict[str, float]:
        """Log and return the mean eval_loss over all labels of the validation sample.

        An aligner also has eval_end_loss, the same over end tokens alone, and eval_ended_share, the
        share of completions after which the end token is the most probable token.
        """
        model: Any = self.model
        model.eval()
        # Sum of the losses, number of labels; the same of end tokens, and how many are predicted.
        sums = torch.zeros(5, dtype=torch.float64)
        loader = DataLoaderShard(
            self.eval_dataset, batch_sampler=self.validation_batches, collate_fn=self.data_collator
        )
        for micro_batch in loader:
            inputs = self._prepare_inputs(micro_batch)
            labels = inputs.pop("labels")
            outputs = model(**inputs)
            sums[0] += mean_cross_entropy(outputs, labels, 1).item()
            sums[1] += (labels != IGNORED).sum().item()
            if self.end_token_id is not None:
                ends = labels == self.end_token_id
                logits = outputs["logits"][ends]  # completions x vocabulary
                sums[2] += mean_cross_entropy({"logits": logits}, labels[ends], 1).item()
                sums[3] += len(logits)
                sums[4] += (logits.argmax(dim=-1) == self.end_token_id).sum().item()
        sums = self.accelerator.reduce(sums.to(self.args.device), "sum")
        total, count, end_total, end_count, predicted = sums.tolist()
        metrics = {"eval_loss": total / count}
        if end_count:
            metrics["eval_end_loss"] = end_total / end_count
            metrics["eval_ended_share"] = predicted / end_count
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        super()._save_checkpoint(*args, **kwargs)
        self.accelerator.wait_for_everyone()
        if self.is_world_process_zero():
            directory = str(self.args.output_dir)
            write_checksums(Path(directory) / f"checkpoint-{self.state.global_step}")
            # Not earlier, as the Trainer with save_total_limit: a job that is killed before the
            # checksums are written continues from the checkpoint before.
            rotate_checkpoints(directory, CHECKPOINTS_KEPT, self.state.best_model_checkpoint)
        self.accelerator.wait_for_everyone()

    def _load_callback_state(self) -> None:
        # The Trainer makes the callbacks again from the arguments in the checkpoint. This one may
        # have changed since then, because it decides no result.
        minutes = self.clock.checkpoint_minutes
        super()._load_callback_state()
        self.clock.checkpoint_minutes = minutes

    @property
    def clock(self) -> Clock:
        """The training's clock, which the Trainer replaces by the clock of a loaded checkpoint."""
        return next(each for each in self.callback_handler.callbacks if isinstance(each, Clock))

    def rows_of(self, step: int) -> str:
        """Return a text with the ids of the rows in a training step."""
        rows: Any = self.train_dataset
        numbers = self.batches.rows_of_step(step - 1)  # The Trainer counts from 1.
        return "rows " + ", ".join(str(rows[number]["id"]) for number in numbers)
