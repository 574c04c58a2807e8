"""The maxima of windows of images (N, C, H, W), on channels-last memory.

For the backward pass a byte per maximum says at which position of its window it was. There are two
ways to the same numbers:

- Windows that lie side by side, as most do, are taken apart: a matrix has a row per position, with
  its pixels in all windows, and one call of NumPy works on all rows. That takes half the time.
- Others are walked position by position, many windows at once, each position one strided view of
  the images. Pixels beside the image are never looked at: a position is looked at for those
  windows in which it lies inside.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.layout import channels_first, channels_last, pixels, runs
from ddp.autograd.ops.pool import framed, positions
from ddp.autograd.ops.window import Pair, Window
from ddp.autograd.tensor import Tensor, wrap
from ddp.kernels import kernel

# Maxima worked on together: with inputs and places they stay in the L2 cache,
BLOCK = 1 << 16
MATRIX = 1 << 15  # and where windows are taken apart, with these

Index = tuple[slice, slice, slice]  # images, rows, columns


def max_pool2d(input: Tensor, window: Window) -> Tensor:
    """The maximum of each window: (N, C, H, W) → (N, C, Ho, Wo). NaN counts as the largest."""
    x = pixels(input.array)
    y = np.empty((len(x), *window.output, x.shape[3]), x.dtype)
    output = wrap(channels_first(y))
    places = None
    if node := MaxPool2DWithIndicesBackward0.record(output, input):
        places = np.zeros(y.shape, place_numbers(window.kernel).dtype)
        node.window = window
        node.save(input, places)
    maxima(x, window, y, places)
    return output


class MaxPool2DWithIndicesBackward0(Node):
    """y = the maximum of each window; its gradient goes to the first of equal maxima."""

    __slots__ = ("window",)

    window: Window

    def backward(self, dy: Array) -> Gradients:
        x, places = self.saved
        dx = np.zeros(channels_last(x).shape, dy.dtype)
        give(pixels(dy), places, self.window, dx)
        return (channels_first(dx),)


@kernel
def maxima(x: Array, window: Window, y: Array, places: Array | None) -> None:
    """Write the maxima to `y`, and note in `places`, which are 0, at which position each is."""
    find = find_maxima_apart if is_side_by_side(window) else find_maxima
    find(x, window, y, places)


@kernel
def give(dy: Array, places: Array, window: Window, dx: Array) -> None:
    """Add each of `dy` to the pixel of `dx`, which is 0, that was its window's maximum."""
    to_maxima = give_to_maxima_apart if is_side_by_side(window) else give_to_maxima
    to_maxima(dy, places, window, dx)


@lru_cache(256)
def place_numbers(kernel: Pair) -> Array:
    """The places of a window's positions: a column that counts from the last one, 0, backwards."""
    count = math.prod(kernel)
    return np.arange(count, dtype=np.min_scalar_type(count))[::-1, np.newaxis].copy()


def is_side_by_side(window: Window) -> bool:
    """Whether the windows lie side by side, beginning in the image's corner."""
    return window.kernel == window.stride and window.dilation == (1, 1) and not window.is_padded


def taken_apart(x: Array, window: Window) -> Array:
    """(N, H, W, C) → (kh, kw, N, Ho, Wo), a view whose elements are whole pixels, as in `runs`."""
    (kh, kw), (height, width) = window.kernel, window.output
    inside = runs(x)[:, : height * kh, : width * kw, 0]
    return inside.reshape(len(x), height, kh, width, kw).transpose(2, 4, 0, 1, 3)


def find_maxima_apart(x: Array, window: Window, y: Array, places: Array | None) -> None:
    """`maxima` of windows side by side."""
    apart, numbers = taken_apart(x, window), place_numbers(window.kernel)
    for images, top, bottom in blocks(y.shape, MATRIX):
        rows = apart[:, :, images, top:bottom].copy().view(x.dtype).reshape(len(numbers), -1)
        best = y[images, top:bottom].reshape(-1)
        np.maximum.reduce(rows, axis=0, out=best)
        if places is not None:
            found = np.equal(rows[:-1], best).view(np.uint8) * numbers[:-1]
            noted = places[images, top:bottom].reshape(-1)
            np.maximum.reduce(found, axis=0, out=noted, initial=0)


def give_to_maxima_apart(dy: Array, places: Array, window: Window, dx: Array) -> None:
    """`give` for windows side by side."""
    apart, numbers = taken_apart(dx, window), place_numbers(window.kernel)
    for images, top, bottom in blocks(dy.shape, MATRIX):
        rows = np.equal(places[images, top:bottom].reshape(-1), numbers).astype(dy.dtype)
        rows *= dy[images, top:bottom].reshape(-1)
        target = apart[:, :, images, top:bottom]
        shares = runs(rows.reshape(*target.shape, -1))[..., 0]
        for position in positions(window):  # in rows as long as can be
            target[position] = shares[position]


def find_maxima(x: Array, window: Window, y: Array, places: Array | None) -> None:
    """`maxima` of any windows. The first position is looked at last, and wins over its equals."""
    if window.is_padded:
        y[...] = lowest(x)
    copied, where = Scratch(y.shape, x.dtype), Scratch(y.shape, np.bool_)
    for place, outputs, inputs in steps(window, y.shape):
        best = y[outputs]
        if place == 0 and not window.is_padded:
            runs(best)[...] = runs(x[inputs])
            continue
        candidate = copied.of(best.shape)
        runs(candidate)[...] = runs(x[inputs])
        if places is not None and place > 0:
            noted = places[outputs]
            found = np.greater_equal(candidate, best, out=where.of(best.shape))
            np.maximum(noted, np.multiply(found, noted.dtype.type(place)), out=noted)
        np.maximum(best, candidate, out=best)


def give_to_maxima(dy: Array, places: Array, window: Window, dx: Array) -> None:
    """`give` for any windows."""
    where, given = Scratch(dy.shape, np.bool_), Scratch(dy.shape, dy.dtype)
    for place, outputs, inputs in steps(window, dy.shape):
        target = dx[inputs]
        is_here = np.equal(places[outputs], place, out=where.of(target.shape))
        share = np.multiply(dy[outputs], is_here, out=given.of(target.shape))
        if window.is_disjoint:
            runs(target)[...] = runs(share)
        else:
            target += share


class Scratch:
    """Memory for one block of (N, Ho, Wo, C) at a time, in any shape of at most its size."""

    def __init__(self, shape: tuple[int, ...], dtype: Any) -> None:
        images, rows = block_size(shape)
        self.memory = np.empty(images * rows * shape[2] * shape[3], dtype)

    def of(self, shape: tuple[int, ...]) -> Array:
        """A dense array of the shape."""
        return self.memory[: math.prod(shape)].reshape(shape)


@lru_cache(256)
def steps(window: Window, shape: tuple[int, ...]) -> tuple[tuple[int, Index, Index], ...]:
    """The place of each position, and which outputs and inputs belong together there.

    Places count from a window's last position, 0, to its first. `shape`, (N, Ho, Wo, C), is cut
    into blocks, and all positions of a block come one after the other.
    """
    order = list(reversed(list(positions(window))))
    plan = []
    for images, top, bottom in blocks(shape):
        for place, (row, column) in enumerate(order):
            rows, pixel_rows = window.inside(0, row, top, bottom)
            columns, pixel_columns = window.inside(1, column, 0, window.output[1])
            plan.append((place, (images, rows, columns), (images, pixel_rows, pixel_columns)))
    return tuple(plan)


@lru_cache(256)
def blocks(shape: tuple[int, ...], size: int = BLOCK) -> list[tuple[slice, int, int]]:
    """(N, Ho, Wo, C) in dense blocks: the images, the first row and the end of the rows."""
    images, rows = block_size(shape, size)
    return [
        (slice(first, first + images), top, min(top + rows, shape[1]))
        for first in range(0, shape[0], images)
        for top in range(0, shape[1], rows)
    ]


def block_size(shape: tuple[int, ...], size: int = BLOCK) -> tuple[int, int]:
    """How many images, and rows of each, make about `size` of (N, Ho, Wo, C)."""
    images, height, width, channels = shape
    row = max(1, width * channels)
    group = max(1, min(images, size // (height * row)))
    return group, min(height, max(1, size // row))


def max_indices(input: Tensor, maxima: Tensor, window: Window) -> Tensor:
    """Where in its plane each window's maximum lies, as row · W + column: int64 like the maxima.

    The first of equal ones; the last NaN.
    """
    x, y = channels_last(input.array), channels_last(maxima.array)
    padded = framed(x, window, lowest(x))
    height, width = window.input
    plane = np.arange(height * width).reshape(1, height, width, 1)
    plane = framed(plane, window, -1)
    found = np.full(y.shape, -1)
    for position in positions(window):
        candidate, index = (window.shifted(array, *position) for array in (padded, plane))
        claimed = (candidate == y) & (found < 0) | (candidate != candidate)
        np.copyto(found, index, where=claimed & (index >= 0))
    return wrap(channels_first(found))


def lowest(x: Array) -> float:
    """What no element of `x` is below."""
    return -np.inf if x.dtype.kind == "f" else int(np.iinfo(x.dtype).min)
