"""Rows that aligners on servers have at the same time, each in a request of its own."""

import queue
import threading
from collections.abc import Callable

from aligners.correction.squad import RowState, SquadModels, Turn

# Gets the correction of a row, or the error in its place, in another thread.
Back = Callable[[Turn | Exception], None]


class InFlight:
    """Threads that wait for the servers of aligners.

    Attributes:
        rows: that were sent and are not taken back; only the thread that sends changes it.
    """

    def __init__(self, models: SquadModels, most: int):
        """Start the threads, which end with the process or with `close`.

        Args:
            models: with the aligners on servers.
            most: rows at the same time at most; more wait.
        """
        self.models, self.most, self.rows = models, most, 0
        self.waiting: queue.SimpleQueue[tuple[RowState, str, Back] | None] = queue.SimpleQueue()
        for _ in range(most):
            threading.Thread(target=self.generate_all, daemon=True, name="in flight").start()

    def send(self, state: RowState, criterion: str, back: Back) -> None:
        """Let the aligner of a criterion correct a row; `back` gets the correction."""
        self.rows += 1
        self.waiting.put((state, criterion, back))

    def close(self) -> None:
        """End the threads, after what was sent."""
        for _ in range(self.most):
            self.waiting.put(None)

    def generate_all(self) -> None:
        """Correct one row after the other."""
        while row := self.waiting.get():
            state, criterion, back = row
            try:
                [turn] = self.models.generate([state], criterion)
            except Exception as error:  # of any library; the caller of the row gets it
                back(error)
            else:
                back(turn)
