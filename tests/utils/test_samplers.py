"""Samplers and splits: PyTorch's golden orders, lengths, refusals."""

from __future__ import annotations

from typing import Any

import pytest

from ddp.autograd.random import Generator, manual_seed
from ddp.utils.data import (
    BatchSampler,
    DistributedSampler,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
    random_split,
)

WEIGHTS = [0.1, 0.2, 0.3, 0.4]

# After manual_seed(5), from PyTorch 2.13.
GOLDEN: list[tuple[Any, list[int]]] = [
    (lambda: RandomSampler(range(10)), [7, 6, 5, 4, 8, 3, 2, 9, 0, 1]),
    (lambda: RandomSampler(range(3), num_samples=7), [1, 0, 2, 0, 1, 2, 1]),
    (lambda: RandomSampler(range(10), replacement=True, num_samples=8), [7, 4, 9, 4, 6, 8, 2, 2]),
    (lambda: SubsetRandomSampler([5, 6, 7, 8]), [8, 6, 5, 7]),
    (lambda: WeightedRandomSampler(WEIGHTS, 6), [3, 1, 2, 2, 1, 3]),
    (lambda: WeightedRandomSampler(WEIGHTS, 3, replacement=False), [3, 2, 1]),
    (lambda: random_split(range(8), [5, 3])[1], [4, 5, 7]),
    (lambda: DistributedSampler(range(7), 2, 1, seed=3), [3, 6, 2, 5]),
]


@pytest.mark.parametrize(("build", "expected"), GOLDEN)
def test_random_orders_are_pytorchs(build: Any, expected: list[int]) -> None:
    manual_seed(5)
    sampler = build()
    assert list(sampler) == expected
    assert len(sampler) == len(expected)


def test_every_epoch_has_another_order_and_a_generator_replays_it() -> None:
    sampler = RandomSampler(range(20), generator=Generator(1))
    first, second = list(sampler), list(sampler)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second
    assert list(RandomSampler(range(20), generator=Generator(1))) == first


def test_more_samples_than_there_are_come_as_whole_permutations() -> None:
    drawn = list(RandomSampler(range(4), num_samples=10))
    assert [sorted(drawn[:4]), sorted(drawn[4:8])] == [[0, 1, 2, 3], [0, 1, 2, 3]]
    assert len(drawn) == 10


@pytest.mark.parametrize(
    ("drop_last", "expected"),
    [(False, [[0, 1, 2], [3, 4, 5], [6]]), (True, [[0, 1, 2], [3, 4, 5]])],
)
def test_batches_end_with_a_short_one_or_drop_it(drop_last: bool, expected: Any) -> None:
    batches = BatchSampler(SequentialSampler(range(7)), 3, drop_last)
    assert list(batches) == expected
    assert len(batches) == len(expected)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size", [1, 5, 7, 8])
def test_ranks_share_an_epoch_evenly(size: int, shuffle: bool) -> None:
    ranks = [DistributedSampler(range(size), 3, rank, shuffle, seed=1) for rank in range(3)]
    parts = [list(rank) for rank in ranks]
    assert {len(part) for part in parts} == {len(ranks[0])} == {-(-size // 3)}
    dealt = [parts[i % 3][i // 3] for i in range(3 * len(parts[0]))]
    assert sorted(dealt[:size]) == list(range(size))
    assert all(dealt[i] == dealt[i % size] for i in range(len(dealt)))


def test_ranks_drop_what_does_not_divide() -> None:
    parts = [
        list(DistributedSampler(range(8), 3, rank, False, drop_last=True)) for rank in range(3)
    ]
    assert parts == [[0, 3], [1, 4], [2, 5]]


def test_set_epoch_chooses_the_order() -> None:
    sampler = DistributedSampler(range(10), 2, 0)
    first = list(sampler)
    assert list(sampler) == first
    sampler.set_epoch(1)
    assert list(sampler) != first


def test_splits_are_disjoint_and_give_every_sample() -> None:
    parts = random_split(range(10), [3, 7])
    assert [len(part) for part in parts] == [3, 7]
    assert sorted(sample for part in parts for sample in part) == list(range(10))


def test_fractions_leave_their_rest_to_the_first() -> None:
    assert [len(part) for part in random_split(range(11), [0.3, 0.3, 0.4])] == [4, 3, 4]
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0"):
        random_split(range(2), [0.99, 0.01])


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: RandomSampler([]), ValueError, "num_samples should be a positive integer"),
    (lambda: RandomSampler([1], replacement=1), TypeError, "replacement should be a boolean"),
    (lambda: BatchSampler([1], 0, False), ValueError, "batch_size should be a positive integer"),
    (lambda: BatchSampler([1], 1, 0), ValueError, "drop_last should be a boolean"),
    (lambda: WeightedRandomSampler([[1.0]], 1), ValueError, "should be a 1d sequence"),
    (lambda: WeightedRandomSampler([1.0], 0), ValueError, "positive integer"),
    (lambda: list(WeightedRandomSampler([-1.0], 1)), RuntimeError, "element < 0"),
    (lambda: DistributedSampler([1]), RuntimeError, "needs num_replicas and rank"),
    (lambda: DistributedSampler([1], 2, 2), ValueError, r"Invalid rank 2.*\[0, 1\]"),
    (lambda: random_split(range(3), [1, 1]), ValueError, "Sum of input lengths"),
    (lambda: random_split(range(3), [1.5, -0.5]), ValueError, "Fraction at index 0"),
]


@pytest.mark.parametrize(("build", "error", "words"), REFUSED)
def test_what_cannot_be_is_refused(build: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        build()
