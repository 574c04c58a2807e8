"""Cutting an update into pieces that stay in the cache.

An optimizer step is about ten passes over the same arrays. Done piece by piece, the temporaries
live in a small scratch that never leaves the L2 cache, whatever the size of the parameter. The
updates are element-wise, so the bits do not depend on where the cuts are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

PIECE_ELEMENTS = 16_384  # 64 KiB of float32; Adam has six such arrays in flight: 384 KiB of L2


class Scratch:
    """Temporaries per dtype, made on first use and used for every piece after that."""

    def __init__(self) -> None:
        self._arrays: dict[np.dtype[Any], Array] = {}

    def like(self, piece: Array, count: int = 2) -> tuple[Array, ...]:
        """`count` uninitialised arrays of the shape and dtype of `piece`."""
        if piece.size > PIECE_ELEMENTS:
            return tuple([np.empty_like(piece) for _ in range(count)])
        held = self._arrays.get(piece.dtype)
        if held is None or len(held) < count:
            held = self._arrays[piece.dtype] = np.empty((count, PIECE_ELEMENTS), piece.dtype)
        return tuple([array[: piece.size].reshape(piece.shape) for array in held[:count]])


def pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Cut arrays of one shape alike; the pieces are views.

    Small arrays come whole, and so do those that are not contiguous (no flat view exists).
    """
    if arrays[0].size <= PIECE_ELEMENTS or not all(a.flags.c_contiguous for a in arrays):
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, PIECE_ELEMENTS):
        yield tuple(array[start : start + PIECE_ELEMENTS] for array in flat)
