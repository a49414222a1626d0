"""Which rows make up each training step, and how the devices share them.

A global batch depends on the seed and the epoch alone: not on the number of devices, nor on what
was drawn before. So a killed job goes on with the batch it was at, on any number of devices.
"""

import heapq
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from torch.utils.data import Dataset, Sampler

from aligners.core.errors import UserError

# Batches between which rows are sorted by length where they are padded.
BATCHES_SORTED_TOGETHER = 32

Parts = list[list[int]]


class Rows(Dataset[dict[str, Any]]):
    """Encoded rows in memory, each with its `input_ids`."""

    def __init__(self, rows: Sequence[dict[str, Any]]):
        """Keep the rows."""
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.rows[index]


class GlobalBatches(Sampler[list[int]]):
    """Row numbers of each part of each global batch: what one device computes at a time.

    All global batches have as many rows as batch_size, or one or a few less so that all are about
    equal: a last one of few rows would weigh as much as the others. All have equally many parts,
    with about equally many tokens.

    Attributes:
        parts: parts of a global batch on one process, gradients being accumulated over them.
        steps: global batches in an epoch.
        unpadded_share: share of the tokens computed in the first epoch that are not padding.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        batch_size: int,
        part_tokens: int,
        *,
        packed: bool,
        seed: int = 0,
        epochs: int = 1,
        processes: int = 1,
        process: int = 0,
    ):
        """Find the number of parts.

        Args:
            lengths: tokens of each row.
            batch_size: most rows of a global batch.
            part_tokens: most tokens of a part, padding included; a longer row is a part alone.
            packed: whether rows are packed; else they are padded, and batches hold rows of similar
                length.
            seed: what the order depends on, together with the epoch.
            epochs: how many there will be.
            processes, process: how many share the work, and which of them this is.

        Raises:
            UserError: there are more processes than rows in a batch.
        """
        self.lengths, self.packed, self.seed, self.epoch = lengths, packed, seed, 0
        self.processes, self.process = processes, process
        self.steps = math.ceil(len(lengths) / batch_size)
        fewest = len(lengths) // self.steps
        if fewest < processes:
            raise UserError(
                f"{processes} processes cannot share batches of {fewest} rows; "
                "use fewer GPUs, or raise the recipe's global batch size"
            )
        batches = [batch for epoch in range(epochs) for batch in self.batches(epoch)]
        enough = max(self.parts_needed(batch, part_tokens) for batch in batches)
        self.parts = max(1, min(math.ceil(enough / processes), fewest // processes))
        computed = sum(
            self.tokens(part) for batch in self.batches(0) for part in self.split(batch, self.all)
        )
        self.unpadded_share = sum(lengths) / computed

    @property
    def all(self) -> int:
        """Parts of a global batch on all processes together."""
        return self.parts * self.processes

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that comes next; the Trainer calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.steps * self.parts

    def __iter__(self) -> Iterator[list[int]]:
        for batch in self.batches(self.epoch):
            yield from self.split(batch, self.all)[self.process :: self.processes]

    def batches(self, epoch: int) -> Parts:
        """Return the rows of each global batch of an epoch."""
        generator = np.random.default_rng([self.seed, epoch])
        order = generator.permutation(len(self.lengths))
        batches = np.array_split(order, self.steps)
        if not self.packed:
            batches = self.sort_together(batches)
            batches = [batches[place] for place in generator.permutation(self.steps)]
        return [batch.tolist() for batch in batches]

    def tokens_of_steps(self, steps: int) -> int:
        """Return the tokens of the first steps, without padding."""
        epochs, rest = divmod(steps, self.steps)
        tokens = epochs * sum(self.lengths)
        for batch in self.batches(epochs)[:rest]:
            tokens += sum(self.lengths[row] for row in batch)
        return tokens

    def sort_together(self, batches: list[Any]) -> list[Any]:
        """Exchange rows between neighbouring batches, so that each has rows of similar length."""
        lengths = np.asarray(self.lengths)
        alike = []
        for start in range(0, len(batches), BATCHES_SORTED_TOGETHER):
            group = batches[start : start + BATCHES_SORTED_TOGETHER]
            rows = np.concatenate(group)
            rows = rows[np.argsort(lengths[rows], kind="stable")]
            alike += np.split(rows, np.cumsum([len(batch) for batch in group])[:-1])
        return alike

    def parts_needed(self, batch: list[int], part_tokens: int) -> int:
        """Return how many parts keep to a number of tokens."""
        limit = max(part_tokens, *(self.lengths[row] for row in batch))
        count = max(1, math.ceil(sum(self.lengths[row] for row in batch) / limit))
        while max(map(self.tokens, self.split(batch, count))) > limit:
            count += 1
        return count

    def tokens(self, part: list[int]) -> int:
        """Return the tokens of a part, padding included."""
        lengths = [self.lengths[row] for row in part]
        return sum(lengths) if self.packed else max(lengths) * len(lengths)

    def split(self, batch: list[int], count: int) -> Parts:
        """Return the rows of a batch in parts, the longest part first."""
        rows = sorted(batch, key=lambda row: (-self.lengths[row], row))
        if not self.packed:
            return [part.tolist() for part in np.array_split(rows, count)]
        # Each row goes to the part with the fewest tokens so far (Graham's LPT rule).
        parts: Parts = [[] for _ in range(count)]
        heap = [(0, place) for place in range(count)]
        for row in rows:
            tokens, place = heapq.heappop(heap)
            parts[place].append(row)
            heapq.heappush(heap, (tokens + self.lengths[row], place))
        return sorted(parts, key=lambda part: (-self.tokens(part), part))
