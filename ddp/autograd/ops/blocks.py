"""Working on large arrays a piece at a time, so that several passes over a piece run in the cache.

The second half of the speed is where an array begins: on the boundary of a cache line, an
operation on two arrays takes half as long as anywhere else, and malloc promises 16 bytes only. The
third is in where they lie: see `unbuffered`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from ddp.autograd.node import Array

BLOCK = 1 << 15  # elements: four float32 arrays of it are 512 KiB, which an L2 cache holds

CACHE_LINE = 64  # bytes
ALIGNED_FROM_BYTES = 1 << 16  # for less, finding the place costs more than it saves

LONG_ROW = 1024  # elements: up to here a plain sum in float32 is as good as NumPy's pairwise one

LONG_RUN = 256  # elements: from here on a run of memory is worked on where it lies


@contextmanager
def unbuffered() -> Iterator[None]:
    """Within it NumPy works on parts of arrays, and on rows that it repeats, where they lie.

    By default it copies runs of less than 8192 elements together first, and back, which takes up
    to three times as long as the work. That pays for short runs, and where dtypes are mixed, only.
    """
    with np.errstate():  # what ends with it
        np.setbufsize(LONG_RUN)
        yield


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Uninitialised memory in C order that begins on a cache line, if there is much of it."""
    size = math.prod(shape) * dtype.itemsize
    if size < ALIGNED_FROM_BYTES:
        return np.empty(shape, dtype)
    memory = np.empty(size + CACHE_LINE, np.uint8)
    start = -memory.__array_interface__["data"][0] % CACHE_LINE
    return np.ndarray(shape, dtype, memory, start)


def aligned_like(x: Array) -> Array:
    """The same for the shape, dtype and order of a dense array's memory."""
    return np.ndarray(x.shape, x.dtype, aligned_empty((x.size,), x.dtype), 0, x.strides)


def aligned_copy(x: Array) -> Array:
    """A dense copy in C order."""
    copy = aligned_empty(x.shape, x.dtype)
    copy[...] = x
    return copy


def lie_alike(x: Array, y: Array) -> bool:
    """Whether `x`, which is dense, and `y` are plain arrays whose memory has one order."""
    return type(x) is type(y) is np.ndarray and x.strides == y.strides


def blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Dense arrays of one size and order of memory, BLOCK elements of each at a time."""
    flat = [array.ravel("K") for array in arrays]
    for start in range(0, flat[0].size, BLOCK):
        yield tuple([array[start : start + BLOCK] for array in flat])


def row_blocks(*matrices: Array) -> Iterator[tuple[Array, ...]]:
    """The same rows of every matrix, about BLOCK elements of the first at a time."""
    count, length = matrices[0].shape
    step = max(BLOCK // max(length, 1), 1)
    for start in range(0, count, step):
        yield tuple([matrix[start : start + step] for matrix in matrices])


def row_sums(rows: Array) -> Array:
    """(M, N) → (M, 1), by BLAS where the rows are short enough: four times as fast as `sum`."""
    length = rows.shape[1]
    if length > LONG_ROW:
        return rows.sum(1, keepdims=True)
    return (rows @ np.ones(length, rows.dtype))[:, np.newaxis]
