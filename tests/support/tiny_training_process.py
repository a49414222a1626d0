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
from aligners.training.callbacks import ShowProgress


def kill_launcher() -> None:
    """Kill the launcher, and wait for the SIGTERM that the kernel sends to its child then."""
    callback: Any = signal.getsignal(signal.SIGTERM)
    os.kill(os.getppid(), signal.SIGKILL)
    deadline = time.monotonic() + 60
    while not callback.__self__.received and time.monotonic() < deadline:
        time.sleep(0.01)


def kill_launcher_and_pause() -> None:
    """Kill the launcher, and pause until the test resumes this process."""
    os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGSTOP)


def fill_disk() -> None:
    """Write to the directory of the checkpoints until its disk is full."""
    with suppress(OSError), open(f"{sys.argv[1]}/work/filler", "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass


ACTIONS = {
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


def main(directory: str, changes: str, step: str, action: str) -> None:
    """Train, and run the action when the step is counted."""
    show_step = ShowProgress.on_step_end

    def on_step_end(self: Any, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        show_step(self, args, state, control, **kwargs)
        if state.global_step == int(step):
            ACTIONS[action]()

    ShowProgress.on_step_end = on_step_end  # type: ignore[method-assign]
    train(Path(directory), recipe(**json.loads(changes)))


if __name__ == "__main__":
    with one_message():
        main(*sys.argv[1:])
