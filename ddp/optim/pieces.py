"""Pieces of an update that stay in the cache: large parameters are cut, small ones put together.

An optimizer step is about ten passes over the same arrays. Done piece by piece, the temporaries
live in a small scratch that never leaves the L2 cache, whatever the size of the parameter; and
ten calls of NumPy serve many small parameters at once. The updates are element-wise, so the bits
do not depend on where the cuts are.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from operator import is_
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.array_utils import byte_bounds

Array = np.ndarray[Any, np.dtype[Any]]
Shapes = tuple[tuple[int, ...], ...]

PIECE_ELEMENTS = 32_768  # 128 KiB of float32; Adam has five such arrays in flight: 640 KiB of L2
TEMPORARIES = 4
PLANS = 32  # which parameters have a gradient may change from step to step


class Plan(NamedTuple):
    """Where small parameters of certain shapes lie when they are gathered."""

    flat: list[Array]  # per kind of array (parameters, gradients, …) one for all of them
    views: list[list[Array]]  # the same, as arrays of the parameters' shapes


class Scratch:
    """Memory for one piece: temporaries, and rows in which small parameters are gathered."""

    def __init__(self) -> None:
        self._memory: dict[np.dtype[Any], Array] = {}
        self._like: dict[tuple[tuple[int, ...], np.dtype[Any]], tuple[Array, ...]] = {}
        self._plans: dict[tuple[Shapes, int, np.dtype[Any]], Plan] = {}
        self._asked: list[Array] = []  # the arrays of the last question of this kind,
        self._apart = True  # and its answer

    def like(self, piece: Array) -> tuple[Array, ...]:
        """`TEMPORARIES` uninitialised arrays of the shape and dtype of `piece`."""
        if piece.size > PIECE_ELEMENTS:
            return tuple([np.empty_like(piece) for _ in range(TEMPORARIES)])
        key = (piece.shape, piece.dtype)
        if key not in self._like:
            memory = self._memory.setdefault(
                piece.dtype, np.empty((TEMPORARIES, PIECE_ELEMENTS), piece.dtype)
            )
            self._like[key] = tuple([t[: piece.size].reshape(piece.shape) for t in memory])
        return self._like[key]

    def plan(self, shapes: Shapes, kinds: int, dtype: np.dtype[Any]) -> Plan:
        """Where `kinds` arrays of each of these shapes are gathered."""
        key = (shapes, kinds, dtype)
        if key not in self._plans:
            if len(self._plans) == PLANS:
                self._plans.clear()
            size = sum(map(math.prod, shapes))
            flat = [np.empty(size, dtype) for _ in range(kinds)]
            self._plans[key] = Plan(flat, [list(_consecutive(row, shapes)) for row in flat])
        return self._plans[key]

    def are_apart(self, arrays: list[Array]) -> bool:
        """Whether no two of the arrays share memory."""
        if len(arrays) != len(self._asked) or not all(map(is_, arrays, self._asked)):
            bounds = sorted(byte_bounds(array) for array in arrays)
            self._apart = all(left[1] <= right[0] for left, right in pairwise(bounds))
            self._asked = arrays
        return self._apart


def _consecutive(row: Array, shapes: Shapes) -> Iterator[Array]:
    start = 0
    for shape in shapes:
        stop = start + math.prod(shape)
        yield row[start:stop].reshape(shape)
        start = stop


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


class Together:
    """Small parameters that are updated as one: copied side by side, and afterwards back.

    A member is a parameter's arrays: itself, its gradient, and what the optimizer keeps of it.
    """

    def __init__(self, scratch: Scratch) -> None:
        self.members: list[Sequence[Array]] = []
        self._size = 0
        self._scratch = scratch

    def takes(self, arrays: Sequence[Array]) -> bool:
        """Whether there is room for this member, and it has the others' dtype."""
        size = self._size + arrays[0].size
        return size <= PIECE_ELEMENTS and (
            not self.members or arrays[0].dtype is self.members[0][0].dtype
        )

    def add(self, arrays: Sequence[Array]) -> None:
        self.members.append(arrays)
        self._size += arrays[0].size

    def are_apart(self) -> bool:
        """Whether no two parameters share memory: else each must see what the other did."""
        return self._scratch.are_apart([arrays[0] for arrays in self.members])

    def gathered(self) -> list[Array]:
        """Per kind of array one flat one: parameters, gradients, …"""
        self._columns = list(zip(*self.members, strict=True))
        parameters = self._columns[0]
        shapes = tuple([array.shape for array in parameters])
        self._plan = self._scratch.plan(shapes, len(self._columns), parameters[0].dtype)
        for column, flat in zip(self._columns, self._plan.flat, strict=True):
            np.concatenate(column, axis=None, out=flat)
        return self._plan.flat

    def put_back(self) -> None:
        """Copy parameters and kept arrays back; a gradient is as it was."""
        for kind, column in enumerate(self._columns):
            if kind != 1:
                for array, changed in zip(column, self._plan.views[kind], strict=True):
                    array[...] = changed
