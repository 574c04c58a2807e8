"""Average pooling over windows of images (N, C, H, W), on channels-last memory.

Windows are walked position by position, each one strided view of the whole batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.layout import channels_first, channels_last
from ddp.autograd.ops.window import Pair, Window
from ddp.autograd.tensor import Tensor, wrap


def avg_pool2d(input: Tensor, window: Window, divisor: Array) -> Tensor:
    """The sum of each window over `divisor` (Ho, Wo, 1): (N, C, H, W) → (N, C, Ho, Wo)."""
    padded = framed(channels_last(input.array), window, 0)
    images, _, _, channels = padded.shape
    y = np.zeros((images, *window.output, channels), padded.dtype)
    for position in positions(window):
        y += window.shifted(padded, *position)
    if y.dtype.kind == "f":
        y /= divisor
    else:  # towards zero, as C divides
        y = np.trunc(y / divisor).astype(y.dtype)
    output = wrap(channels_first(y))
    if node := AvgPool2DBackward0.record(output, input):
        node.window, node.divisor = window, divisor
    return output


class AvgPool2DBackward0(Node):
    """y = sum of each window / divisor; every pixel of a window gets dy / divisor."""

    __slots__ = ("divisor", "window")

    window: Window
    divisor: Array

    def backward(self, dy: Array) -> Gradients:
        share = np.ascontiguousarray(channels_last(dy)) / self.divisor
        images, channels = dy.shape[:2]
        dx = np.zeros((images, *self.window.padded, channels), dy.dtype)
        for position in positions(self.window):
            pixels = self.window.shifted(dx, *position)
            pixels += share
        return (channels_first(self.window.interior(dx)),)


def window_sizes(window: Window, counted: tuple[Pair, Pair]) -> Array:
    """How many pixels each window averages over: (Ho, Wo, 1).

    `counted` is the padding, ((top, bottom), (left, right)), that counts as pixels.
    """
    (top, bottom), (left, right) = counted
    (first_row, _), (first_column, _) = window.padding
    pixels = np.zeros((1, *window.padded, 1))
    rows = slice(first_row - top, first_row + window.input[0] + bottom)
    pixels[:, rows, first_column - left : first_column + window.input[1] + right] = 1
    sizes = np.zeros((*window.output, 1))
    for position in positions(window):
        sizes += window.shifted(pixels, *position)[0]
    return sizes


def positions(window: Window) -> Iterator[tuple[int, int]]:
    """The (row, column) places of a window, in reading order."""
    for row in range(window.kernel[0]):
        for column in range(window.kernel[1]):
            yield row, column


def framed(x: Array, window: Window, value: float) -> Array:
    """(N, H, W, C) with its padding filled with `value`; the array itself when there is none."""
    if not window.is_padded:
        return x
    padded = np.full((len(x), *window.padded, x.shape[3]), value, x.dtype)
    window.interior(padded)[...] = x
    return padded
