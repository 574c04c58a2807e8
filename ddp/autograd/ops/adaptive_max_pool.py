"""Maximum pooling to a given size, whatever the image's."""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops.adaptive_pool import Pair, cells
from ddp.autograd.ops.index import gather
from ddp.autograd.tensor import Tensor, wrap


def adaptive_max_pool2d(input: Tensor, size: Pair) -> tuple[Tensor, Tensor]:
    """The maximum of each cell of a grid of `size` on (N, C, H, W), and where it lies.

    A place is row · W + column, the first of equal ones. The values are gathered from there, and
    so the gradient goes back there.
    """
    places = places_of_maxima(input.array, size)
    planes = input.reshape(*input.shape[:2], math.prod(input.shape[2:]))
    indices = wrap(places.reshape(*places.shape[:2], math.prod(size)))
    return gather(planes, 2, indices).reshape(places.shape), wrap(places)


def places_of_maxima(x: Array, size: Pair) -> Array:
    """(N, C, H, W) → (N, C, *size) of places in the plane, int64; of a NaN if there is one."""
    width = x.shape[3]
    places = np.empty((*x.shape[:2], *size), np.int64)
    for i, j, rows, columns in cells(x.shape[2:], size):
        cell = x[:, :, rows, columns]
        inside = cell.reshape(*cell.shape[:2], -1).argmax(2)
        row, column = np.divmod(inside, cell.shape[3])
        places[:, :, i, j] = (row + rows.start) * width + column + columns.start
    return places
