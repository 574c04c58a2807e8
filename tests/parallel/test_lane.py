"""A lane's arithmetic: sums in tree order, block by block, with the sums of their squares."""

from __future__ import annotations

import numpy as np
import pytest

from ddp.parallel.lane import SliceSum, Term, sum_of_squares
from ddp.parallel.layout import BLOCK
from ddp.parallel.shards import Node
from tests.parallel.plans import Array, tree_sum


def normal(seed: int, size: int) -> Array:
    return np.random.default_rng(seed).normal(size=size).astype(np.float32)


def test_squares_are_summed_to_the_precision_of_float32() -> None:
    gradient = normal(0, BLOCK)
    wide = gradient.astype(np.float64) ** 2
    assert sum_of_squares(gradient) == pytest.approx(wide.sum(), rel=1e-6)


def test_squares_that_overflow_float32_are_summed_again_in_float64() -> None:
    with np.errstate(over="ignore"):
        assert sum_of_squares(np.full(3, 1e30, np.float32)) == pytest.approx(3e60)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_squares_of_what_is_not_finite_are_not_finite(value: float) -> None:
    assert not np.isfinite(sum_of_squares(np.array([1, value], np.float32)))


@pytest.mark.parametrize("mine", [(), (0,), (2,), (1, 3), (0, 1, 2, 3, 4)])
def test_only_memory_of_ours_is_written_and_the_sum_is_that_of_the_tree(
    mine: tuple[int, ...],
) -> None:
    parts = [normal(seed, 50) for seed in range(5)]
    wanted = tree_sum([part.copy() for part in parts], np.add)
    for number, part in enumerate(parts):
        part.flags.writeable = number in mine
    terms = [(Node(n, n + 1), Term(part, n in mine)) for n, part in enumerate(parts)]
    total = SliceSum(terms, 5, [slice(0, 20), slice(20, 50)])
    squares = total.take()
    np.testing.assert_array_equal(total.result, wanted)
    assert squares == [sum_of_squares(wanted[:20]), sum_of_squares(wanted[20:])]
