"""Channels-last memory under PyTorch's shapes.

Images have the shape (N, C, H, W), and their memory, where it is ours, the order N, H, W, C: then a
pixel's channels lie together, a window's row is one run, and all pixels of a batch are the rows of
a dense matrix. NumPy's element-wise operations keep that order by themselves.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ddp.autograd.node import Array

SUM_ROWS = 1024
FEW_CHANNELS = 4


def channels_last(x: Array) -> Array:
    """(N, C, ...) → (N, ..., C), a view."""
    return x.transpose(axes_last(x.ndim))


def channels_first(x: Array) -> Array:
    """(N, ..., C) → (N, C, ...), a view."""
    return x.transpose(axes_first(x.ndim))


@lru_cache
def axes_last(ndim: int) -> tuple[int, ...]:
    """The axes of (N, C, ...), the channels' last."""
    return (0, *range(2, ndim), 1)


@lru_cache
def axes_first(ndim: int) -> tuple[int, ...]:
    """The axes of (N, ..., C), the channels' second."""
    return (0, ndim - 1, *range(1, ndim - 1))


def pixels(x: Array) -> Array:
    """(N, C, ...) → (N, ..., C), dense: no copy for channels-last memory.

    Few channels are copied one by one, in a third of the time of all together.
    """
    last = channels_last(x)
    if last.flags.c_contiguous:
        return last
    if x.shape[1] > FEW_CHANNELS:
        return np.ascontiguousarray(last)
    dense = np.empty(last.shape, x.dtype)
    for channel in range(x.shape[1]):
        dense[..., channel] = x[:, channel]
    return dense


def runs(x: Array) -> Array:
    """(..., C) with its pixels as single elements (..., 1): to copy them takes half the time.

    A view; the channels of a pixel have to lie together.
    """
    return x.view(run_of(x.shape[-1] * x.itemsize))


@lru_cache(1024)
def run_of(size: int) -> np.dtype[np.void]:
    """The dtype of a run of memory of so many bytes."""
    return np.dtype((np.void, size))


def as_rows(x: Array) -> Array:
    """(N, C, ...) → the dense matrix (N · ..., C): no copy for channels-last memory.

    A sum over rows adds in one order, whatever the memory's was: its bits depend on shape and
    values only.
    """
    return pixels(x).reshape(-1, x.shape[1])


def from_rows(rows: Array, shape: tuple[int, ...]) -> Array:
    """The reverse of `as_rows`, as a view in the given shape."""
    return channels_first(rows.reshape(shape[0], *shape[2:], shape[1]))


def column_sums(matrix: Array) -> Array:
    """The sum of the rows of a dense (N, M) matrix, by BLAS: three times as fast as `sum(0)`.

    In float32 a plain sum of 65,536 rows is off by 1e-5; sums of SUM_ROWS, summed, by 3e-7.
    """
    count, columns = matrix.shape
    if count <= SUM_ROWS:
        return ones(count, matrix.dtype).dot(matrix)
    whole = count - count % SUM_ROWS
    parts = np.ones(SUM_ROWS, matrix.dtype) @ matrix[:whole].reshape(-1, SUM_ROWS, columns)
    return column_sums(parts) + column_sums(matrix[whole:])


@lru_cache(maxsize=64)
def ones(count: int, dtype: np.dtype[Any]) -> Array:
    """A vector of ones, made once; it is for reading only."""
    vector = np.ones(count, dtype)
    vector.flags.writeable = False
    return vector


def column_dots(a: Array, b: Array) -> Array:
    """The sum of the rows of a * b, with the precision of `column_sums`; no product in memory."""
    count, columns = a.shape
    whole = count - count % SUM_ROWS
    blocks = (-1, SUM_ROWS, columns)
    dots = np.einsum("mc,mc->c", a[whole:], b[whole:])
    if whole:
        parts = np.einsum("bmc,bmc->bc", a[:whole].reshape(blocks), b[:whole].reshape(blocks))
        dots += column_sums(parts)
    return dots
