"""Progress of a job: lines in its log, and one live line in the terminal for one of the jobs."""

import fcntl
import os
import sys
from collections.abc import Iterable
from typing import IO, Any, TypeVar

from tqdm import tqdm

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False

Item = TypeVar("Item")

LOCK_PATH = f"/tmp/aligners-terminal-{os.getuid()}.lock"
TIMES = "[{elapsed}<{remaining}, {rate_fmt}{postfix}]"
FORMAT = "{desc}: {percentage:3.0f}% {n_fmt}/{total_fmt} {unit} " + TIMES


class LogLines:
    """A file for tqdm that writes each update of the bar as a separate line to the log."""

    def write(self, text: str) -> None:
        """Write the bar as a line, without tqdm's carriage return."""
        if text.strip():
            sys.stderr.write(text.strip() + "\n")

    def flush(self) -> None:
        """Flush the log."""
        sys.stderr.flush()


def open_terminal() -> IO[str] | None:
    """Return the controlling terminal, or None if there is none or another job uses it."""
    try:
        terminal = open("/dev/tty", "w")  # noqa: SIM115 - stays open as long as the bar
        lock = os.open(LOCK_PATH, os.O_CREAT | os.O_RDWR, 0o600)
        # The kernel releases the lock when the process ends. Then the next job gets the terminal.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return None
    return terminal


class Shown:
    """Whether progress is shown: in the programs of the workflow, not in an application."""

    progress = False


def show_progress() -> None:
    """Show the progress of this process from now on."""
    Shown.progress = True


class Progress:
    """Progress bars: a log line every ten seconds and, if there is a terminal, one live line.

    There are none unless `show_progress` was called.
    """

    def __init__(self, total: int, description: str, unit: str = "rows", done: int = 0):
        self.bars: list[tqdm[Any]] = []
        if not Shown.progress:
            return
        options: dict[str, Any] = {
            "total": total,
            "desc": description,
            "unit": f" {unit}",
            "initial": done,
        }
        self.bars = [tqdm(file=LogLines(), mininterval=10, bar_format=FORMAT, **options)]
        terminal = open_terminal()
        if terminal is not None:
            self.bars.append(
                tqdm(file=terminal, leave=False, delay=1, dynamic_ncols=True, **options)
            )

    def update(self, count: int = 1) -> None:
        """Count more items as done."""
        for bar in self.bars:
            bar.update(count)

    def set_postfix(self, text: str) -> None:
        """Show a text after the rate, from the next update on."""
        for bar in self.bars:
            bar.set_postfix_str(text, refresh=False)

    def close(self) -> None:
        """Write the last state to the log and clear the live line."""
        for bar in self.bars:
            bar.close()


def track(items: Iterable[Item], total: int, description: str) -> Iterable[Item]:
    """Yield the items and show the progress towards `total`."""
    bar = Progress(total, description)
    try:
        for item in items:
            yield item
            bar.update()
    finally:
        bar.close()
