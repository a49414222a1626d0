"""Trains a tiny aligner in a process of its own that is disturbed at a training step.

As a program: tiny_training_process.py DIRECTORY CHANGES STEP ACTION, with the changes of the recipe
as JSON.
"""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from tiny_training import recipe, train

from aligners.core.program import one_message
from aligners.correction.train import RowEncoder
from aligners.training.callbacks import ShowProgress
from aligners.training.process import process_state
from aligners.training.trainer import BatchTrainer


def wait_for_sigterm() -> None:
    """Wait until Python has handled SIGTERM: another thread can receive it, a step later."""
    callback: Any = signal.getsignal(signal.SIGTERM)
    deadline = time.monotonic() + 60
    while not callback.__self__.received and time.monotonic() < deadline:
        time.sleep(0.01)


def kill_launcher() -> None:
    """Kill the launcher, and wait for the SIGTERM that the kernel sends to its child then."""
    os.kill(os.getppid(), signal.SIGKILL)
    wait_for_sigterm()


def kill_launcher_and_pause() -> None:
    """Kill the launcher, pause until the test resumes this process, and wait for SIGTERM."""
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGSTOP)
    wait_for_sigterm()


def fill_disk() -> None:
    """Write to the directory of the checkpoints until its disk is full."""
    with suppress(OSError), open(f"{sys.argv[1]}/work/filler", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


def kill_launcher_before_training(directory: str) -> None:
    """Kill the launcher while the rows are encoded, and write a file if this process runs on."""
    encode = RowEncoder.encode_sets

    def kill_and_encode(self: RowEncoder, *sets: Any) -> Any:
        os.kill(os.getppid(), signal.SIGKILL)
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            time.sleep(0.01)
        (Path(directory) / "orphan").touch()
        return encode(self, *sets)

    RowEncoder.encode_sets = kill_and_encode  # type: ignore[method-assign]


BEFORE_TRAINING = "kill launcher before the training"
IN_SAVE = "SIGTERM to the second process in a save"
ACTIONS = {
    BEFORE_TRAINING: lambda: None,
    IN_SAVE: lambda: None,
    "fill disk": fill_disk,
    "SIGKILL": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "SIGTERM": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "exit": lambda: sys.exit(1),
    "kill launcher": kill_launcher,
    "kill launcher and pause": kill_launcher_and_pause,
    "nothing": lambda: None,
}


def train_disturbed(
    directory: Path, changes: dict[str, Any], step: int, action: str, *launcher: str
) -> subprocess.CompletedProcess[str]:
    """Train into `directory` in another process, in which an action runs after a step.

    Args:
        directory: for the model and the checkpoints.
        changes: of the tiny recipe.
        step: the training step.
        action: name in ACTIONS; the first process of several runs it.
        launcher: a command that starts the program; by default Python does.
    """
    arguments = [str(directory), json.dumps(changes), str(step), action]
    return subprocess.run(
        [*(launcher or [sys.executable]), __file__, *arguments],
        capture_output=True,
        text=True,
        timeout=600,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        check=False,
    )


def patch_save(step: int, action: str) -> None:
    """Let the second process receive SIGTERM while it saves at a step, if this is the action."""
    save = BatchTrainer._save_checkpoint

    def terminate_and_save(self: BatchTrainer, *args: Any, **kwargs: Any) -> None:
        second = process_state().process_index == 1
        if action == IN_SAVE and second and self.state.global_step == step:
            os.kill(os.getpid(), signal.SIGTERM)
        save(self, *args, **kwargs)

    BatchTrainer._save_checkpoint = terminate_and_save  # type: ignore[method-assign]


def main(directory: str, changes: str, step: str, action: str) -> None:
    """Train, and run the action when the step is counted."""
    patch_save(int(step), action)
    if action == BEFORE_TRAINING:
        kill_launcher_before_training(directory)
    show_step = ShowProgress.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        show_step(self, args, state, control, **kwargs)
        if state.global_step == int(step):
            ACTIONS[action]()

    ShowProgress.on_step_end = on_step_end  # type: ignore[method-assign]
    try:
        train(Path(directory), recipe(**json.loads(changes)))
    except SystemExit as end:
        (Path(directory) / f"exit-{process_state().process_index}").write_text(str(end.code))
        raise


if __name__ == "__main__":
    with one_message():
        main(*sys.argv[1:])
