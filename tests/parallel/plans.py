"""Parameters and a plan for them, small enough for tests, with buckets of several kinds.

The third parameter is three blocks long, so that ranks share it; the second and
the last leave gaps behind them; the fourth is a scalar.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ddp.autograd.tensor import Tensor
from ddp.parallel.layout import Bucket, Segment, lay_out, plan_buckets
from ddp.parallel.shards import Node, middle

Array = NDArray[Any]
T = TypeVar("T")

NAMES = ["in.weight", "in.bias", "big", "scale", "out.bias"]
SHAPES: list[tuple[int, ...]] = [(4, 8), (7,), (300, 129), (), (3,)]
SIZES = [int(np.prod(shape)) for shape in SHAPES]
READY_ORDER = [4, 3, 2, 1, 0]


def plan(bucket_bytes: int = 64) -> tuple[tuple[Segment, ...], int, tuple[Bucket, ...]]:
    """The places, the total size, the buckets; with 64 bytes they are [4, 3] [2] [1, 0]."""
    placed, total = lay_out(SIZES, READY_ORDER)
    return placed, total, plan_buckets(placed, bucket_bytes, bucket_bytes)


def arrays(*seed: int) -> list[Array]:
    """One float32 array per parameter, of very different magnitudes: the order of a sum shows."""
    random = np.random.default_rng(seed)
    return [
        np.asarray(random.normal(size=s) * 10.0 ** random.integers(-4, 5, s), np.float32)
        for s in SHAPES
    ]


def parameters() -> list[Tensor]:
    return [Tensor(array, requires_grad=True) for array in arrays(0)]


def tree_sum(values: Sequence[T], add: Callable[[T, T], T]) -> T:
    """The sum of one value per shard, straight from the definition of the tree."""
    if len(values) == 1:
        return values[0]
    mid = middle(Node(0, len(values)))
    return add(tree_sum(values[:mid], add), tree_sum(values[mid:], add))
