"""The steps that the training of an aligner and of an inspector have in common."""

import logging
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Generic, TypeVar

from transformers import PreTrainedModel, PreTrainedTokenizerBase, PrinterCallback

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.configuration.kinds.training import FromScratch, TrainingRecipe
from aligners.configuration.results import TRAINING_RECORD
from aligners.core.full_disk import explained_full_disk
from aligners.core.locks import acquire_lock
from aligners.core.plots import plot_losses
from aligners.core.rows import atomic_path, remove_partials, write_json
from aligners.models.pretrained import best_training_dtype, check_float16, context_length
from aligners.training.batches import GlobalBatches, RowDataset
from aligners.training.callbacks import (
    CheckpointOnSigterm,
    Clock,
    EarlyStopping,
    ShowProgress,
    StopOnNonFiniteLoss,
)
from aligners.training.checkpoints import check_disk, last_complete_checkpoint
from aligners.training.packing import pack
from aligners.training.process import follow_launcher, keep_freed_memory, process_state
from aligners.training.record import Source, describe_file, describe_hardware, library_versions
from aligners.training.trainer import BatchTrainer, training_arguments

logger = logging.getLogger(__name__)

R = TypeVar("R", bound=TrainingRecipe)
Encoded = Sequence[dict[str, Any]]


@dataclass(frozen=True)
class TrainingRun(Generic[R]):
    """One training, which may continue over several jobs.

    Attributes:
        source: kind, name and data of the model, for training.json.
        recipe: of config/backbones/ or config/inspectors/.
        seed: determines random weights, the order of the rows and the validation sample.
        output_directory: of the trained model; written atomically at the end.
        working_directory: of the checkpoints; a killed job continues from the last complete one.
        locks: held from the start of the training to the end of the job.
    """

    source: Source
    recipe: R
    seed: int
    output_directory: Path
    working_directory: Path
    locks: list[IO[str]] = field(default_factory=list, init=False)

    def base_model(
        self,
        make: Callable[[FromScratch, Sequence[str], Path, int], None],
        texts: Sequence[str],
    ) -> ModelSource:
        """Return the model that training starts from: the first step of a training.

        If the recipe has `from_scratch`, this makes the model with random weights.

        Args:
            make: writes a model with random weights; from `aligners.models.from_scratch`.
            texts: training data of a new tokenizer.
        """
        follow_launcher()
        if self.recipe.from_scratch is None:
            return self.recipe.source()
        # Made once for all processes, and for later jobs that continue this training.
        directory = self.working_directory / "random_weights"
        with process_state().main_process_first():
            if not directory.is_dir():
                make(self.recipe.from_scratch, texts, directory, self.seed)
        return self.recipe.source(directory)

    def max_tokens(self, model: PreTrainedModel) -> int:
        """Return the smaller of the recipe's max_tokens and the length of the model's context."""
        limit = self.recipe.max_tokens
        return min(limit, context_length(model.config) or limit)

    def make_trainer(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        train: Encoded,
        validation: Encoded,
        collate: Callable[[Encoded], dict[str, Any]],
        end_token_id: int | None = None,
    ) -> BatchTrainer:
        """Return the trainer of a model.

        Args:
            model: the model to train.
            tokenizer: saved with the model.
            train, validation: encoded rows, each with id and input_ids.
            collate: converts rows to the model's inputs and labels: `pack`, or one that pads.
            end_token_id: token at the end of a completion; None for an inspector.

        Raises:
            UserError: there are more processes than rows in a batch, or the model overflows in the
                dtype of the computation.
        """
        dtype = best_training_dtype(self.recipe.dtype)
        check_float16(self.source.recipe_name, model.config.model_type, dtype)
        packed, tokens = collate is pack, self.recipe.micro_batch_tokens
        batches = split_into_batches(
            train,
            self.recipe.global_batch_size,
            tokens,
            packed=packed,
            seed=self.seed,
            epochs=self.recipe.epochs,
        )
        steps = batches.steps * self.recipe.epochs
        if self.recipe.warmup_steps >= steps:
            logger.warning(
                "warmup_steps %d: the training has %d steps, so the learning rate never reaches "
                "its maximum; lower warmup_steps in the recipe %s",
                self.recipe.warmup_steps,
                steps,
                self.source.recipe_name,
            )
        # Without gradients, more tokens fit into memory.
        validation_batches = split_into_batches(
            validation, len(validation), 2 * tokens, packed=packed
        )
        return BatchTrainer(
            batches,
            validation_batches,
            end_token_id,
            model=model,
            args=training_arguments(self.recipe, self.working_directory, self.seed, batches),
            train_dataset=RowDataset(train),
            eval_dataset=RowDataset(validation),
            processing_class=tokenizer,
            data_collator=collate,
        )

    def train_to_best(self, trainer: BatchTrainer) -> None:
        """Train until the patience, the epochs or the hours end, from the last checkpoint if any.

        Afterwards the trainer's model has the weights with the lowest validation loss.

        Raises:
            UserError: a loss is not finite, or the disk is too small for the checkpoints.
        """
        keep_freed_memory()
        state = process_state()
        trainer.remove_callback(PrinterCallback)  # It would print the losses to stdout.
        trainer.add_callback(StopOnNonFiniteLoss(trainer.rows_of))
        trainer.add_callback(EarlyStopping(early_stopping_patience=self.recipe.patience))
        trainer.add_callback(Clock(self.recipe.max_hours, self.recipe.checkpoint_minutes))
        if state.is_main_process:
            trainer.add_callback(ShowProgress(f"training the {self.source.kind}"))
            model: Any = trainer.model
            # A training whose Snakemake was killed may still write its last checkpoint.
            self.locks.append(acquire_lock(self.working_directory / "lock"))
            remove_partials(self.output_directory)
            check_disk(model, self.working_directory, self.output_directory)
        trainer.add_callback(CheckpointOnSigterm())
        try:
            self.train_from_last_checkpoint(trainer)
        except BaseException:
            # Who keeps the exception keeps this object; a next training must not wait for it.
            while self.locks:
                self.locks.pop().close()
            raise

    def train_from_last_checkpoint(self, trainer: BatchTrainer) -> None:
        """Train from the last complete checkpoint, or from the start if there is none."""
        state = process_state()
        # The main process deletes damaged checkpoints before the others search.
        with state.main_process_first():
            checkpoint = last_complete_checkpoint(self.working_directory)
        with explained_full_disk(self.working_directory):
            trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    def record(self, trainer: BatchTrainer, metrics: dict[str, Any]) -> dict[str, Any]:
        """Return the content of training.json.

        `tokens` counts a row once in each epoch. `tokens_per_second` is for training steps only;
        `hours` includes evaluations and checkpoints.
        """
        clock = trainer.clock
        tokens = trainer.batches.tokens_of_steps(metrics["steps"])
        return {
            "kind": self.source.kind,
            "name": self.source.name,
            "recipe_name": self.source.recipe_name,
            "recipe": self.recipe.model_dump(
                mode="json", exclude_none=True, exclude=set(self.recipe.counted_apart)
            ),
            "license": self.recipe.license,
            "data": [describe_file(path) for path in self.source.files],
            "versions": library_versions(),
            "seed": self.seed,
            "hardware": describe_hardware(best_training_dtype(self.recipe.dtype)),
            "tokens": tokens,
            "tokens_per_second": round(tokens / clock.training_seconds, 1),
            "hours": round(clock.seconds / 3600, 4),
            "metrics": metrics,
        }

    def export(
        self,
        trainer: BatchTrainer,
        metrics: dict[str, Any],
        write_more: Callable[[Path], None] = lambda _: None,
    ) -> None:
        """Write the model, its tokenizer and training.json atomically.

        All processes must call this, since each may have a part of the weights.

        Args:
            trainer: the trainer after training.
            metrics: for training.json.
            write_more: writes more files to the directory that it gets.
        """
        model: Any = trainer.model
        model.config.use_cache = True  # The Trainer turns it off.
        if trainer.is_world_process_zero():
            disk = explained_full_disk(self.output_directory.parent)
            with disk, atomic_path(self.output_directory) as partial:
                trainer.save_model(str(partial))
                (partial / "training_args.bin").unlink()
                write_more(partial)
                write_json(partial / TRAINING_RECORD, self.record(trainer, metrics))
        else:
            trainer.save_model(str(self.output_directory))
        trainer.accelerator.wait_for_everyone()

    def finish(
        self, metrics: dict[str, Any], metrics_path: Path, losses_path: Path, unit: str = "token"
    ) -> None:
        """Write metrics.json and the plot of the losses (per `unit`); remove the checkpoints."""
        if process_state().is_main_process:
            plot_losses(metrics["losses"], losses_path, unit)
            write_json(metrics_path, metrics)
            shutil.rmtree(self.working_directory)


def split_into_batches(
    rows: Encoded, batch_size: int, micro_batch_tokens: int, **options: Any
) -> GlobalBatches:
    """Return the batches of encoded rows for this process; see `GlobalBatches` for the arguments.

    Raises:
        UserError: there are more processes than rows in a batch.
    """
    state = process_state()
    return GlobalBatches(
        [len(row["input_ids"]) for row in rows],
        batch_size,
        micro_batch_tokens,
        processes=state.num_processes,
        process=state.process_index,
        **options,
    )
