"""Batches depend only on seed and epoch, and are the same for any number of processes."""

import pytest

from aligners.core.errors import UserError
from aligners.training.batches import GlobalBatches

LENGTHS = [10 + (number * 37) % 101 for number in range(1003)]


def make(packed: bool = True, **options: int) -> GlobalBatches:
    """Return batches of at most 16 rows, in micro-batches of at most 400 tokens."""
    return GlobalBatches(LENGTHS, 16, 400, packed=packed, **{"seed": 3, "epochs": 2, **options})


def steps(batches: GlobalBatches, epoch: int) -> list[list[list[int]]]:
    """Return the micro-batches of one process for each step of an epoch."""
    batches.set_epoch(epoch)
    found, count = list(batches), batches.micro_batches
    assert len(found) == len(batches)
    return [found[start : start + count] for start in range(0, len(found), count)]


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_an_epoch_has_every_row_once_in_batches_of_equal_size(packed: bool) -> None:
    found = steps(make(packed), 0)
    assert len(found) == 63
    rows = [row for step in found for micro_batch in step for row in micro_batch]
    assert sorted(rows) == list(range(1003))
    assert {sum(map(len, step)) for step in found} == {15, 16}


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
def test_the_order_depends_only_on_seed_and_epoch(packed: bool) -> None:
    used = make(packed)
    assert steps(used, 0) != steps(used, 1) == steps(make(packed), 1)
    assert steps(make(packed, seed=4), 0) != steps(make(packed), 0)


@pytest.mark.parametrize("packed", [True, False], ids=["packed", "padded"])
@pytest.mark.parametrize("processes", [2, 3, 7])
def test_several_processes_share_the_batches_of_a_single_process(
    packed: bool, processes: int
) -> None:
    alone = [{row for each in step for row in each} for step in steps(make(packed), 1)]
    shares = [
        steps(make(packed, processes=processes, process=process), 1) for process in range(processes)
    ]
    for expected, *shared in zip(alone, *shares, strict=True):
        rows = [row for share in shared for micro_batch in share for row in micro_batch]
        assert sorted(rows) == sorted(expected)
        assert all(micro_batch for share in shared for micro_batch in share)


def test_packed_micro_batches_respect_the_limit_and_are_balanced() -> None:
    batches = make()
    for step in steps(batches, 0) + steps(batches, 1):
        tokens = [sum(LENGTHS[row] for row in micro_batch) for micro_batch in step]
        assert max(tokens) <= 400
        assert max(tokens) - min(tokens) <= max(LENGTHS)
    assert batches.unpadded_share == 1


def test_padded_micro_batches_respect_the_limit_and_have_little_padding() -> None:
    batches = make(packed=False)
    for step in steps(batches, 0):
        assert max(max(LENGTHS[row] for row in each) * len(each) for each in step) <= 400
    assert 0.95 <= batches.unpadded_share < 1


def test_a_row_longer_than_the_limit_is_a_micro_batch_by_itself() -> None:
    assert list(GlobalBatches([1000, 10, 10], 3, 400, packed=True)) == [[0], [1, 2]]


def test_a_batch_is_split_as_in_the_documentation() -> None:
    batches = GlobalBatches([2, 3, 4, 9, 1, 2, 6, 5], 8, 9, packed=True, processes=2)
    assert batches.micro_batches_in_total == 4
    assert batches.split(list(range(8)), 4) == [[3], [6, 5], [7, 0, 4], [2, 1]]
    assert list(batches) == [[3], [7, 0, 4]]


def test_tokens_of_steps_are_the_sum_over_their_rows() -> None:
    batches = make()
    steps = range(batches.steps + 5)
    expected = sum(LENGTHS[row] for step in steps for row in batches.rows_of_step(step))
    assert batches.tokens_of_steps(len(steps)) == expected


def test_more_processes_than_rows_in_a_batch_are_an_error() -> None:
    with pytest.raises(UserError, match=r"^5 processes .*\b4 rows.*global_batch_size"):
        GlobalBatches([10] * 8, 4, 400, packed=True, processes=5)
