"""Assigns rows to training steps and to processes.

The global batches of an epoch depend only on the seed and the epoch, and not on the number of
processes. So a killed job can continue at the same step with any number of processes.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from aligners.core.errors import UserError

# Padded rows are sorted by length within groups of this many global batches.
BATCHES_SORTED_TOGETHER = 32

# The row numbers of one batch or micro-batch.
RowNumbers = list[int]


class RowDataset(Dataset[dict[str, Any]]):
    """A data set of encoded rows in memory, each with its `input_ids`."""

    def __init__(self, rows: Sequence[dict[str, Any]]):
        """Keep the rows."""
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


class GlobalBatches(Sampler[RowNumbers]):
    """Yields the micro-batches of one process as row numbers.

    Every global batch is split into the same number of micro-batches with about equally many
    tokens, the longest first. They are distributed round-robin, and each process accumulates
    gradients over its own:

        rows of a global batch       0   1   2   3   4   5   6   7
        tokens                       2   3   4   9   1   2   6   5
        4 micro-batches in total     [3]   [6 5]   [7 0 4]   [2 1]
        process 0 of 2 computes      [3]           [7 0 4]
        process 1 of 2 computes            [6 5]             [2 1]

    The sizes of the global batches differ by at most one row, and are at most batch_size. A short
    last batch would give its few rows too much weight.

    Attributes:
        steps: number of global batches in an epoch.
        micro_batches: number of micro-batches per global batch on one process; this is the number
            of gradient accumulation steps.
        unpadded_share: share of the computed tokens of the first epoch that are not padding.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        micro_batch_tokens: int,
        *,
        packed: bool,
        seed: int = 0,
        epochs: int = 1,
        processes: int = 1,
        process: int = 0,
    ):
        """Find the smallest number of micro-batches that respects micro_batch_tokens.

        Args:
            lengths: number of tokens of each row.
            batch_size: maximum number of rows in a global batch.
            micro_batch_tokens: maximum number of tokens in a micro-batch, padding included; a row
                that is longer is a micro-batch by itself.
            packed: whether rows are packed; otherwise they are padded, and global batches have rows
                of similar length.
            seed: determines the order of the rows, together with the epoch.
            epochs: number of epochs of the training.
            processes, process: number of processes, and the index of this one.

        Raises:
            UserError: there are more processes than rows in a batch.
        """
        self.lengths, self.packed, self.seed, self.epoch = lengths, packed, seed, 0
        self.processes, self.process = processes, process
        self.steps = math.ceil(len(lengths) / batch_size)
        fewest_rows = len(lengths) // self.steps
        if fewest_rows < processes:
            raise UserError(
                f"{processes} processes cannot share batches of {fewest_rows} rows; "
                "use fewer GPUs, or raise global_batch_size in the recipe"
            )
        batches = [batch for epoch in range(epochs) for batch in self.global_batches(epoch)]
        needed = max(self.micro_batches_needed(batch, micro_batch_tokens) for batch in batches)
        # No micro-batch of any process may be empty.
        self.micro_batches = min(math.ceil(needed / processes), fewest_rows // processes)
        computed = sum(
            self.computed_tokens(micro_batch)
            for batch in batches[: self.steps]
            for micro_batch in self.split(batch, self.micro_batches_in_total)
        )
        self.unpadded_share = sum(lengths) / computed

    @property
    def micro_batches_in_total(self) -> int:
        """The number of micro-batches per global batch on all processes together."""
        return self.micro_batches * self.processes

    def set_epoch(self, epoch: int) -> None:
        """Set the next epoch; the Trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps * self.micro_batches

    def __iter__(self) -> Iterator[RowNumbers]:
        for batch in self.global_batches(self.epoch):
            micro_batches = self.split(batch, self.micro_batches_in_total)
            yield from micro_batches[self.process :: self.processes]

    def global_batches(self, epoch: int) -> list[RowNumbers]:
        """Return the rows of each global batch of an epoch."""
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.lengths))  # rows
        batches = np.array_split(order, self.steps)  # steps x batch_size, or fewer rows
        if not self.packed:
            batches = self.sort_by_length(batches)
            # Otherwise batches of short rows would come before batches of long ones.
            batches = [batches[index] for index in generator.permutation(self.steps)]
        return [batch.tolist() for batch in batches]

    def rows_of_step(self, step: int) -> RowNumbers:
        """Return the rows of a training step, counted from 0 over all epochs."""
        epoch, index = divmod(step, self.steps)
        return self.global_batches(epoch)[index]

    def tokens_of_steps(self, steps: int) -> int:
        """Return the number of tokens in the first `steps` steps, without padding."""
        epochs, rest = divmod(steps, self.steps)
        tokens = epochs * sum(self.lengths)  # Every epoch has each row once.
        for batch in self.global_batches(epochs)[:rest]:
            tokens += sum(self.lengths[row] for row in batch)
        return tokens

    def sort_by_length(self, batches: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """Sort rows by length within groups of batches, and keep the sizes of the batches."""
        lengths = np.asarray(self.lengths)
        similar: list[NDArray[np.int64]] = []
        for start in range(0, len(batches), BATCHES_SORTED_TOGETHER):
            group = batches[start : start + BATCHES_SORTED_TOGETHER]
            rows = np.concatenate(group)
            rows = rows[np.argsort(lengths[rows], kind="stable")]
            similar += np.split(rows, np.cumsum([len(batch) for batch in group])[:-1])
        return similar

    def micro_batches_needed(self, batch: RowNumbers, micro_batch_tokens: int) -> int:
        """Return the smallest number of micro-batches that respects the token limit."""
        lengths = [self.lengths[row] for row in batch]
        limit = max(micro_batch_tokens, *lengths)
        count = math.ceil(sum(lengths) / limit)
        while max(map(self.computed_tokens, self.split(batch, count))) > limit:
            count += 1
        return count

    def computed_tokens(self, micro_batch: RowNumbers) -> int:
        """Return the number of tokens in a micro-batch, padding included."""
        lengths = [self.lengths[row] for row in micro_batch]
        return sum(lengths) if self.packed else max(lengths) * len(lengths)

    def split(self, batch: RowNumbers, count: int) -> list[RowNumbers]:
        """Split a global batch into `count` micro-batches, the longest first."""
        rows = sorted(batch, key=lambda row: (-self.lengths[row], row))
        if not self.packed:
            # Neighbours in this order have similar lengths, so they need little padding.
            return [micro_batch.tolist() for micro_batch in np.array_split(rows, count)]
        # Each row goes to the micro-batch with the fewest tokens so far (Graham's LPT rule).
        micro_batches: list[RowNumbers] = [[] for _ in range(count)]
        heap = [(0, index) for index in range(count)]  # (tokens, index of the micro-batch)
        for row in rows:
            tokens, index = heapq.heappop(heap)
            micro_batches[index].append(row)
            heapq.heappush(heap, (tokens + self.lengths[row], index))
        return sorted(micro_batches, key=lambda each: (-self.computed_tokens(each), each))
