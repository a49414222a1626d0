"""Callbacks of the Trainer: progress, early stopping, time limits, SIGTERM, non-finite losses."""

import math
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import (
    EarlyStoppingCallback,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer_callback import ExportableState

from aligners.core.errors import UserError
from aligners.core.progress import Progress
from aligners.training.process import any_process, decided_by_first_process


class EarlyStopping(EarlyStoppingCallback):
    """Early stopping that persists: after it, no later job continues the training."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Stop at once if the patience was exhausted when the checkpoint was written."""
        super().on_train_begin(args, state, control, **kwargs)
        if self.early_stopping_patience_counter >= self.early_stopping_patience:
            control.should_training_stop = True


class ShowProgress(TrainerCallback):
    """Shows the number of finished training steps."""

    def __init__(self, description: str):
        """Take the description that the progress bar shows."""
        self.description = description

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar at the step of the checkpoint, or at 0."""
        self.bar = Progress(state.max_steps, self.description, "steps", state.global_step)

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count a step."""
        self.bar.update()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Close the bar."""
        self.bar.close()


class Clock(TrainerCallback, ExportableState):
    """Measures the time of a training over all its jobs, and enforces the time limits.

    It requests a checkpoint `checkpoint_minutes` after the last one, and ends the training after
    `max_hours`. The first process decides for all processes.

    Attributes:
        seconds: total time up to the last step, over all jobs.
        training_seconds: the same, without evaluations and checkpoints.
    """

    def __init__(self, max_hours: float | None, checkpoint_minutes: float):
        """Take the limits; None means no limit."""
        self.max_hours, self.checkpoint_minutes = max_hours, checkpoint_minutes
        self.seconds = self.training_seconds = 0.0
        self.last_tick = self.last_save = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Return the state that a checkpoint stores."""
        return {
            "args": {"max_hours": self.max_hours, "checkpoint_minutes": self.checkpoint_minutes},
            "attributes": {"seconds": self.seconds, "training_seconds": self.training_seconds},
        }

    def is_over(self) -> bool:
        """Return whether max_hours have passed."""
        return self.max_hours is not None and self.seconds >= 3600 * self.max_hours

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start the clock, or stop at once if earlier jobs have used all hours."""
        self.last_tick = self.last_save = time.monotonic()
        if decided_by_first_process(self.is_over())[0]:
            control.should_training_stop = True

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add the time since the last step, for evaluations and checkpoints."""
        now = time.monotonic()
        self.seconds += now - self.last_tick
        self.last_tick = now

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Add the time of a step, and apply the limits."""
        now = time.monotonic()
        self.seconds += now - self.last_tick
        self.training_seconds += now - self.last_tick
        self.last_tick = now
        save_due = now - self.last_save >= 60 * self.checkpoint_minutes
        over, save_due = decided_by_first_process(self.is_over(), save_due)
        if over:
            control.should_training_stop = True
            control.should_evaluate = True
        if over or save_due:
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Record the time of the checkpoint."""
        self.last_save = time.monotonic()


class CheckpointOnSigterm(TrainerCallback):
    """Writes a checkpoint after SIGTERM, and then ends the job.

    Clusters send SIGTERM before they stop a job. The exit status is the same as of a process that
    the signal has terminated. So a scheduler can restart the job, which continues from there.
    """

    def __init__(self) -> None:
        """No signal has been received yet."""
        self.received = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Install the signal handler."""
        self.previous_handler = signal.signal(signal.SIGTERM, self.receive)

    def receive(self, *_: Any) -> None:
        """Record the signal; the current step is finished first."""
        self.received = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Request a checkpoint in all processes if any process has received the signal."""
        self.received = any_process(self.received)
        if self.received:
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the job in all processes, now that the checkpoint is written.

        A signal that one process receives during the checkpoint does not end this process alone:
        the others would wait for it forever.
        """
        self.received = any_process(self.received)
        if self.received:
            raise SystemExit(128 + signal.SIGTERM)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Restore the previous signal handler."""
        signal.signal(signal.SIGTERM, self.previous_handler)


class StopOnNonFiniteLoss(TrainerCallback):
    """Ends a training if a loss is NaN or infinite, before a checkpoint stores such weights."""

    def __init__(self, describe_step: Callable[[int], str]):
        """Take a function that describes the rows of a step for the message."""
        self.describe_step = describe_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Check the loss of the step.

        Raises:
            UserError: a loss or the norm of the gradients is not finite.
        """
        for name in ("loss", "grad_norm", "eval_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise UserError(
                    f"{Path(str(args.output_dir)).name}: {name} is {value} at step "
                    f"{state.global_step} ({self.describe_step(state.global_step)}); the "
                    "last checkpoint is kept. Check these rows; or lower learning_rate or set "
                    "dtype: float32 in the recipe"
                )
