"""Rows that aligners on servers have at the same time, each in a request of its own."""

import queue
import threading
from collections.abc import Callable

from aligners.correction.squad import RowState, SquadModels, Turn

# Called in another thread with the correction of a row, or the error in its place.
Back = Callable[[Turn | Exception], None]
# Called before a row is sent; returns why it is not to be sent, or None.
Begin = Callable[[], Exception | None]


class InFlight:
    """Threads that wait for the servers of aligners. One other thread sends rows."""

    def __init__(self, models: SquadModels, most: int):
        """Start no thread yet; each ends with the process or with `close`.

        Args:
            models: with the aligners on servers.
            most: rows at the same time at most; more wait.
        """
        self.models, self.most, self.threads = models, most, 0
        self.waiting: queue.SimpleQueue[tuple[RowState, str, Begin, Back] | None]
        self.waiting = queue.SimpleQueue()

    def send(self, state: RowState, criterion: str, begin: Begin, back: Back) -> None:
        """Let the aligner of a criterion correct a row; `back` gets the correction."""
        try:
            if self.threads < self.most:
                threading.Thread(target=self.generate_all, daemon=True, name="in flight").start()
                self.threads += 1
        except RuntimeError as error:  # the system allows no more threads
            if not self.threads:
                back(error)
                return
        self.waiting.put((state, criterion, begin, back))

    def close(self) -> None:
        """End the threads, after what was sent."""
        for _ in range(self.threads):
            self.waiting.put(None)

    def generate_all(self) -> None:
        """Correct one row after the other."""
        while row := self.waiting.get():
            state, criterion, begin, back = row
            if unwanted := begin():
                back(unwanted)
                continue
            try:
                [turn] = self.models.generate([state], criterion)
            except Exception as error:  # of any library; the caller of the row gets it
                back(error)
            else:
                back(turn)
