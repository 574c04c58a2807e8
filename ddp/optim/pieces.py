"""Pieces of an update that stay in the cache: large parameters are cut, small ones put together.

An optimizer step is about ten passes over the same arrays. Done piece by piece, the temporaries
live in a small scratch that never leaves the L2 cache, whatever the size of the parameter; and
ten calls of NumPy serve many small parameters at once. The updates are element-wise, so the bits
do not depend on where the cuts are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import is_
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

Array = np.ndarray[Any, np.dtype[Any]]
Shapes = tuple[tuple[int, ...], ...]

PIECE_ELEMENTS = 32_768  # 128 KiB of float32; Adam has five such arrays in flight: 640 KiB of L2
TEMPORARIES = 4


class Scratch:
    """Memory for one piece: temporaries, and rows in which small parameters are gathered."""

    def __init__(self) -> None:
        self._temporaries: dict[np.dtype[Any], tuple[Array, ...]] = {}
        self._rows: dict[np.dtype[Any], list[Array]] = {}
        self._views: dict[tuple[Shapes, np.dtype[Any]], list[list[Array]]] = {}
        self._asked: list[Array] = []  # the arrays of the last question of this kind,
        self._apart = True  # and its answer

    def are_apart(self, arrays: list[Array]) -> bool:
        """Whether no two of the arrays share memory."""
        if len(arrays) != len(self._asked) or not all(map(is_, arrays, self._asked)):
            bounds = sorted(byte_bounds(array) for array in arrays)
            self._apart = all(left[1] <= right[0] for left, right in pairwise(bounds))
            self._asked = arrays
        return self._apart

    def like(self, piece: Array) -> tuple[Array, ...]:
        """`TEMPORARIES` uninitialised arrays of the shape and dtype of `piece`."""
        if piece.size > PIECE_ELEMENTS:
            return tuple([np.empty_like(piece) for _ in range(TEMPORARIES)])
        held = self._temporaries.get(piece.dtype)
        if held is None:
            held = tuple(np.empty((TEMPORARIES, PIECE_ELEMENTS), piece.dtype))
            self._temporaries[piece.dtype] = held
        if piece.ndim == 1:
            return held if piece.size == PIECE_ELEMENTS else tuple([t[: piece.size] for t in held])
        return tuple([t[: piece.size].reshape(piece.shape) for t in held])

    def rows(self, count: int, dtype: np.dtype[Any]) -> list[Array]:
        """`count` arrays of `PIECE_ELEMENTS` each."""
        rows = self._rows.setdefault(dtype, [])
        while len(rows) < count:
            rows.append(np.empty(PIECE_ELEMENTS, dtype))
        return rows[:count]

    def views(self, shapes: Shapes, count: int, dtype: np.dtype[Any]) -> list[list[Array]]:
        """For each of `count` rows, views of these shapes one after another."""
        views = self._views.setdefault((shapes, dtype), [])
        for row in self.rows(count, dtype)[len(views) :]:
            views.append(list(_consecutive(row, shapes)))
        return views[:count]


def _consecutive(row: Array, shapes: Shapes) -> Iterator[Array]:
    start = 0
    for shape in shapes:
        size = int(np.prod(shape))
        yield row[start : start + size].reshape(shape)
        start += size


def pieces(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """Cut arrays of one shape alike; the pieces are views.

    Small arrays come whole, and so do those that are not contiguous (no flat view exists).
    """
    if arrays[0].size <= PIECE_ELEMENTS or not all(a.flags.c_contiguous for a in arrays):
        yield arrays
        return
    flat = [array.reshape(-1) for array in arrays]
    for start in range(0, flat[0].size, PIECE_ELEMENTS):
        yield tuple([array[start : start + PIECE_ELEMENTS] for array in flat])


class Gathering:
    """Small parameters that are updated as one: copied side by side, and afterwards back.

    A member is a parameter's arrays: itself, its gradient, and what the optimizer keeps of it.
    """

    def __init__(self, scratch: Scratch) -> None:
        self.members: list[Sequence[Array]] = []
        self._size = 0
        self._scratch = scratch

    def takes(self, arrays: Sequence[Array]) -> bool:
        """Whether there is room for these arrays, and they are of the members' dtype."""
        size, dtype = self._size + arrays[0].size, self.members[0][0].dtype
        return size <= PIECE_ELEMENTS and all(array.dtype == dtype for array in arrays)

    def add(self, arrays: Sequence[Array]) -> None:
        self.members.append(arrays)
        self._size += arrays[0].size

    def clear(self) -> None:
        self.members = []
        self._size = 0

    def are_apart(self) -> bool:
        """Whether no two parameters share memory: else each must see what the other did."""
        return self._scratch.are_apart([arrays[0] for arrays in self.members])

    def gathered(self) -> list[Array]:
        """Per kind of array one flat one: parameters, gradients, …"""
        self._columns = list(zip(*self.members, strict=True))
        rows = self._scratch.rows(len(self._columns), self.members[0][0].dtype)
        flat = [row[: self._size] for row in rows]
        for column, row in zip(self._columns, flat, strict=True):
            np.concatenate(column, axis=None, out=row)
        return flat

    def put_back(self) -> None:
        """Copy parameters and kept arrays back; a gradient is as it was."""
        parameters = self._columns[0]
        shapes = tuple([array.shape for array in parameters])
        views = self._scratch.views(shapes, len(self._columns), parameters[0].dtype)
        for column, changed in zip(self._columns, views, strict=True):
            if column is self._columns[1]:
                continue
            for array, view in zip(column, changed, strict=True):
                array[...] = view
