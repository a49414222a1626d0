"""What happens between the steps of a training: progress, early stop, limits, a farewell."""

import ctypes
import math
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch
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

# Of prctl(2).
PR_SET_PDEATHSIG = 1


class EarlyStopping(EarlyStoppingCallback):
    """Early stop that a killed job remembers: one that had stopped does not go on to train."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
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
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Open the bar, at the step of the checkpoint if there was one."""
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
    """Counts the time of the steps and evaluations over all jobs that a training was spread over.

    It writes a checkpoint where the last one is long ago, and ends the training when its hours are
    over. The first process decides for all.

    Attributes:
        seconds: time of the training up to the last step.
        training_seconds: the same, without evaluations and checkpoints.
    """

    def __init__(self, max_hours: float | None, checkpoint_minutes: float):
        """Remember the limits; None is no limit."""
        self.max_hours, self.checkpoint_minutes = max_hours, checkpoint_minutes
        self.seconds = self.training_seconds = 0.0
        self.last = self.saved = time.monotonic()

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {
            "args": {"max_hours": self.max_hours, "checkpoint_minutes": self.checkpoint_minutes},
            "attributes": {"seconds": self.seconds, "training_seconds": self.training_seconds},
        }

    def is_over(self) -> bool:
        """Return whether the hours are used up."""
        return self.max_hours is not None and self.seconds >= 3600 * self.max_hours

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Start counting, or stop at once if the hours were over when the job was killed."""
        self.last = self.saved = time.monotonic()
        if decided_by_the_first(self.is_over())[0]:
            control.should_training_stop = True

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count what came between two steps."""
        now = time.monotonic()
        self.seconds += now - self.last
        self.last = now

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Count a step, and see whether it is time."""
        now = time.monotonic()
        self.seconds += now - self.last
        self.training_seconds += now - self.last
        self.last = now
        old = now - self.saved >= 60 * self.checkpoint_minutes
        over, old = decided_by_the_first(self.is_over(), old)
        if over:
            control.should_training_stop = True
            control.should_evaluate = True
        if over or old:
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Remember when the last checkpoint was written."""
        self.saved = time.monotonic()


class Farewell(TrainerCallback):
    """Writes a checkpoint when the job is told to end (SIGTERM), and ends it.

    A cluster warns a job so before it takes the machine away. The exit status is that of a process
    that the signal has ended, so that a scheduler's retries continue the job.
    """

    def __init__(self) -> None:
        """Nothing was said yet."""
        self.told = False

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Listen; the death of what launched this process counts as a word, too."""
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        self.before = signal.signal(signal.SIGTERM, self.listen)

    def listen(self, *_: Any) -> None:
        """Remember that the job has to end."""
        self.told = True

    def on_step_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Ask for a checkpoint in all processes if one of them was told."""
        self.told = any_process(self.told)
        if self.told:
            control.should_save = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """End the job; the checkpoint is written."""
        if self.told:
            raise SystemExit(128 + signal.SIGTERM)

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """From here on a signal ends the job as usual."""
        signal.signal(signal.SIGTERM, self.before)


class StopAtNoNumber(TrainerCallback):
    """Ends a training whose loss is no number any more, before a checkpoint keeps such weights."""

    def __init__(self, describe_step: Any):
        """Take a function from a step to a description of its rows."""
        self.describe_step = describe_step

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Look at the loss of the step.

        Raises:
            UserError: it is not finite.
        """
        for name in ("loss", "grad_norm", "eval_loss"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise UserError(
                    f"{Path(str(args.output_dir)).name}: {name} is {value} at step "
                    f"{state.global_step} ({self.describe_step(state.global_step)}); the "
                    "checkpoint before it is kept. Look at these rows, lower learning_rate, or set "
                    "dtype: float32 in the recipe"
                )


def decided_by_the_first(*values: bool) -> list[bool]:
    """Return the values that the first process has: clocks differ, decisions must not."""
    if not torch.distributed.is_initialized():
        return list(values)
    shared = list(values)
    torch.distributed.broadcast_object_list(shared, src=0)
    return shared


def any_process(value: bool) -> bool:
    """Return whether a value is true in any process."""
    if not torch.distributed.is_initialized():
        return value
    gathered: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(gathered, value)
    return any(gathered)
