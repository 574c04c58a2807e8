"""Channels-last memory under PyTorch's shapes.

Images have the shape (N, C, H, W), and their memory, where it is ours, the order N, H, W, C: then a
pixel's channels lie together, a window's row is one run, and all pixels of a batch are the rows of
a dense matrix. NumPy's element-wise operations keep that order by themselves.
"""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array


def channels_last(x: Array) -> Array:
    """(N, C, ...) → (N, ..., C), a view."""
    return x.transpose(0, *range(2, x.ndim), 1)


def channels_first(x: Array) -> Array:
    """(N, ..., C) → (N, C, ...), a view."""
    last = x.ndim - 1
    return x.transpose(0, last, *range(1, last))


def as_rows(x: Array) -> Array:
    """(N, C, ...) → the dense matrix (N · ..., C): no copy for channels-last memory.

    A sum over rows adds in one order, whatever the memory's was: its bits depend on shape and
    values only.
    """
    return np.ascontiguousarray(channels_last(x)).reshape(-1, x.shape[1])


def from_rows(rows: Array, shape: tuple[int, ...]) -> Array:
    """The reverse of `as_rows`, as a view in the given shape."""
    return channels_first(rows.reshape(shape[0], *shape[2:], shape[1]))


def column_sums(matrix: Array) -> Array:
    """The sum of the rows of a dense (N, M) matrix, by BLAS: three times as fast as `sum(0)`."""
    return np.ones(len(matrix), matrix.dtype) @ matrix
