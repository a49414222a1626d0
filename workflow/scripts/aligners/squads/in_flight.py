"""Rows that aligners on servers have at the same time, each in a request of its own."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError

from aligners.correction.squad import RowState, SquadModels, Turn

# Gets the correction of a row, or the error in its place, in another thread.
Back = Callable[[Turn | Exception], None]
# Whether nobody wants the correction of a row any more.
IsCancelled = Callable[[], bool]


class InFlight:
    """Threads that wait for the servers of aligners. One thread sends rows and takes them back.

    Attributes:
        rows: that were sent and are not taken back.
    """

    def __init__(self, models: SquadModels, most: int):
        """Start no thread yet; each ends with the process or with `close`.

        Args:
            models: with the aligners on servers.
            most: rows at the same time at most; more wait.
        """
        self.models, self.most, self.rows, self.threads = models, most, 0, 0
        self.waiting: queue.SimpleQueue[tuple[RowState, str, Back, IsCancelled] | None]
        self.waiting = queue.SimpleQueue()

    def send(self, state: RowState, criterion: str, back: Back, is_cancelled: IsCancelled) -> None:
        """Let the aligner of a criterion correct a row; `back` gets the correction."""
        self.rows += 1
        if self.threads < min(self.most, self.rows):
            threading.Thread(target=self.generate_all, daemon=True, name="in flight").start()
            self.threads += 1
        self.waiting.put((state, criterion, back, is_cancelled))

    def take_back(self, rows: int) -> None:
        """Count rows that came back."""
        self.rows -= rows

    def close(self) -> None:
        """End the threads, after what was sent."""
        for _ in range(self.threads):
            self.waiting.put(None)

    def generate_all(self) -> None:
        """Correct one row after the other."""
        while row := self.waiting.get():
            state, criterion, back, is_cancelled = row
            if is_cancelled():
                back(CancelledError())
                continue
            try:
                [turn] = self.models.generate([state], criterion)
            except Exception as error:  # of any library; the caller of the row gets it
                back(error)
            else:
                back(turn)
