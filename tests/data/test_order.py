"""The order of samples is a pure function of seed and epoch, and a position finds its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ddp.data.order import (
    batch_indices,
    batch_positions,
    epoch_order,
    locate,
    steps_per_epoch,
)

sizes = st.integers(1, 200)
seeds = st.integers(0, 2**62)


def test_the_order_of_these_epochs_is_frozen() -> None:
    """Written down once: a change here changes every run ever recorded."""
    assert epoch_order(10, seed=0, epoch=0).tolist() == [2, 3, 5, 7, 0, 6, 1, 4, 9, 8]
    assert epoch_order(10, seed=0, epoch=1).tolist() == [3, 7, 2, 9, 6, 4, 8, 5, 0, 1]
    assert epoch_order(7, seed=2**62, epoch=1000).tolist() == [1, 5, 6, 0, 3, 4, 2]


def test_the_order_stands_on_the_raw_words_alone() -> None:
    """Philox 4x64-10 written out again from the paper, so that NumPy's version cannot matter."""
    words = [word for block in range(1, 3) for word in philox_4x64_10(block, key=(5, 9))]
    assert epoch_order(8, seed=5, epoch=9).tolist() == sorted(range(8), key=lambda i: words[i])


def philox_4x64_10(block: int, key: tuple[int, int]) -> list[int]:
    """One block of four words (Salmon et al., 2011, section 3.3); NumPy counts before drawing."""
    mask = 2**64 - 1
    c, k = [block, 0, 0, 0x6F72646572], list(key)
    for _ in range(10):
        low, high = 0xD2E7470EE14C6C93 * c[0], 0xCA5A826395121157 * c[2]
        c = [high >> 64 ^ c[1] ^ k[0], high & mask, low >> 64 ^ c[3] ^ k[1], low & mask]
        k = [(k[0] + 0x9E3779B97F4A7C15) & mask, (k[1] + 0xBB67AE8584CAA73B) & mask]
    return c


@given(sizes, seeds, st.integers(0, 10**6))
def test_an_order_takes_every_sample_once(size: int, seed: int, epoch: int) -> None:
    order = epoch_order(size, seed, epoch)
    assert order.dtype == np.int64
    assert sorted(order.tolist()) == list(range(size))
    assert np.array_equal(order, epoch_order(size, seed, epoch))


@given(sizes, st.integers(1, 250), seeds, st.integers(0, 50))
def test_the_batches_of_an_epoch_are_its_order_cut_in_pieces(
    size: int, global_batch: int, seed: int, epoch: int
) -> None:
    steps = steps_per_epoch(size, global_batch)
    batches = [
        batch_indices(size, global_batch, seed, epoch * steps + step) for step in range(steps)
    ]
    assert [len(batch) for batch in batches[:-1]] == [global_batch] * (steps - 1)
    assert 1 <= len(batches[-1]) <= global_batch
    assert np.array_equal(np.concatenate(batches), epoch_order(size, seed, epoch))


@pytest.mark.parametrize(
    ("position", "place", "taken"),
    [
        (0, (0, 0), range(4)),
        (2, (0, 2), range(8, 10)),  # the ragged last batch is kept
        (3, (1, 0), range(4)),
        (3 * 10**15 + 1, (10**15, 1), range(4, 8)),
    ],
)
def test_a_position_is_an_epoch_and_a_step_within_it(
    position: int, place: tuple[int, int], taken: range
) -> None:
    assert locate(10, 4, position) == place
    assert batch_positions(10, 4, position) == taken


def test_epochs_and_seeds_have_different_orders() -> None:
    orders = {tuple(epoch_order(20, seed, epoch)) for seed in range(5) for epoch in range(5)}
    assert len(orders) == 25


def test_an_order_that_is_shared_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="read-only"):
        batch_indices(10, 4, 0, 0)[0] = 3
