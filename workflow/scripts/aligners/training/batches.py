"""Which rows make up each training step, and how the processes share them.

A global batch depends on the seed and the epoch only: not on the number of processes, nor on what
was drawn before. So a killed job continues with the batch it was at, on any number of processes.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from aligners.core.errors import UserError

# Where rows are padded, they are sorted by length within this many global batches.
BATCHES_SORTED_TOGETHER = 32

# The row numbers of one batch or micro-batch.
RowNumbers = list[int]


class Rows(Dataset[dict[str, Any]]):
    """Encoded rows in memory, each with its `input_ids`."""

    def __init__(self, rows: Sequence[dict[str, Any]]):
        """Keep the rows."""
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


class GlobalBatches(Sampler[RowNumbers]):
    """The micro-batches of one process: row numbers, in the order in which it computes them.

    Every global batch is cut into the same number of micro-batches, with about equally many tokens,
    the longest first. The processes take them in turns, and accumulate gradients over their own:

        rows of a global batch       0   1   2   3   4   5   6   7
        tokens                       2   3   4   9   1   2   6   5
        4 micro-batches in total     [3]   [6 5]   [7 0 4]   [2 1]
        process 0 of 2 computes      [3]           [7 0 4]
        process 1 of 2 computes            [6 5]             [2 1]

    All global batches have batch_size rows, or all have about equally many below that: a last one
    of few rows would weigh as much as the others.

    Attributes:
        steps: global batches in an epoch.
        micro_batches: of a global batch on one process; the gradient accumulation steps.
        unpadded_share: share of the tokens computed in the first epoch that are not padding.
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
        """Find the number of micro-batches: the smallest that keeps to micro_batch_tokens.

        Args:
            lengths: tokens of each row.
            batch_size: most rows of a global batch.
            micro_batch_tokens: most tokens of a micro-batch, padding included; a longer row is a
                micro-batch of its own.
            packed: whether rows are packed; else they are padded, and batches hold rows of similar
                length.
            seed: decides the order, together with the epoch.
            epochs: number of epochs of the training.
            processes, process: how many processes share the work, and the index of this one.

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
                "use fewer GPUs, or raise the recipe's global batch size"
            )
        batches = [batch for epoch in range(epochs) for batch in self.global_batches(epoch)]
        needed = max(self.micro_batches_needed(batch, micro_batch_tokens) for batch in batches)
        # No micro-batch of any process may be empty.
        self.micro_batches = min(math.ceil(needed / processes), fewest_rows // processes)
        computed = sum(
            self.computed_tokens(micro_batch)
            for batch in batches[: self.steps]
            for micro_batch in self.cut(batch, self.micro_batches_in_total)
        )
        self.unpadded_share = sum(lengths) / computed

    @property
    def micro_batches_in_total(self) -> int:
        """Micro-batches of a global batch on all processes together."""
        return self.micro_batches * self.processes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that comes next; the Trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps * self.micro_batches

    def __iter__(self) -> Iterator[RowNumbers]:
        for batch in self.global_batches(self.epoch):
            yield from self.cut(batch, self.micro_batches_in_total)[self.process :: self.processes]

    def global_batches(self, epoch: int) -> list[RowNumbers]:
        """Return the rows of each global batch of an epoch."""
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.lengths))  # rows
        batches = np.array_split(order, self.steps)  # steps x batch_size, or fewer rows
        if not self.packed:
            batches = self.sort_by_length(batches)
            # Without this, batches of short rows would come before batches of long ones.
            batches = [batches[place] for place in generator.permutation(self.steps)]
        return [batch.tolist() for batch in batches]

    def rows_of_step(self, step: int) -> RowNumbers:
        """Return the rows of a training step, counted from 0 over all epochs."""
        epoch, place = divmod(step, self.steps)
        return self.global_batches(epoch)[place]

    def tokens_of_steps(self, steps: int) -> int:
        """Return the tokens of the first steps, without padding."""
        epochs, rest = divmod(steps, self.steps)
        tokens = epochs * sum(self.lengths)  # An epoch has each row once.
        for batch in self.global_batches(epochs)[:rest]:
            tokens += sum(self.lengths[row] for row in batch)
        return tokens

    def sort_by_length(self, batches: list[NDArray[np.int64]]) -> list[NDArray[np.int64]]:
        """Exchange rows between neighbouring batches, so that each has rows of similar length.

        The sizes of the batches stay as they are.
        """
        lengths = np.asarray(self.lengths)
        similar: list[NDArray[np.int64]] = []
        for start in range(0, len(batches), BATCHES_SORTED_TOGETHER):
            group = batches[start : start + BATCHES_SORTED_TOGETHER]
            rows = np.concatenate(group)
            rows = rows[np.argsort(lengths[rows], kind="stable")]
            similar += np.split(rows, np.cumsum([len(batch) for batch in group])[:-1])
        return similar

    def micro_batches_needed(self, batch: RowNumbers, micro_batch_tokens: int) -> int:
        """Return into how many micro-batches a global batch must be cut to keep to the tokens."""
        lengths = [self.lengths[row] for row in batch]
        limit = max(micro_batch_tokens, *lengths)
        count = math.ceil(sum(lengths) / limit)
        while max(map(self.computed_tokens, self.cut(batch, count))) > limit:
            count += 1
        return count

    def computed_tokens(self, micro_batch: RowNumbers) -> int:
        """Return the tokens that a micro-batch computes, padding included."""
        lengths = [self.lengths[row] for row in micro_batch]
        return sum(lengths) if self.packed else max(lengths) * len(lengths)

    def cut(self, batch: RowNumbers, count: int) -> list[RowNumbers]:
        """Return a global batch as `count` micro-batches, the longest first."""
        rows = sorted(batch, key=lambda row: (-self.lengths[row], row))
        if not self.packed:
            # Neighbours in this order have similar lengths, and need little padding.
            return [micro_batch.tolist() for micro_batch in np.array_split(rows, count)]
        # Each row goes to the micro-batch with the fewest tokens so far (Graham's LPT rule).
        micro_batches: list[RowNumbers] = [[] for _ in range(count)]
        heap = [(0, place) for place in range(count)]  # (tokens, place of the micro-batch)
        for row in rows:
            tokens, place = heapq.heappop(heap)
            micro_batches[place].append(row)
            heapq.heappush(heap, (tokens + self.lengths[row], place))
        return sorted(micro_batches, key=lambda each: (-self.computed_tokens(each), each))
