"""Two-dimensional convolution, and which way it is computed.

Shapes are PyTorch's: images (N, C, H, W), weights (O, C / groups, kh, kw). Memory is channels-last
(`layout.py`), so the pixels of a window's row are one run of it.

There are two ways: a product with the column matrix (`conv_columns.py`) serves all shapes, the
tiles of Winograd (`conv_winograd.py`) most 3x3 kernels with stride 1. Where kernels are compiled
there is a third (`conv_few.py`). Which is taken depends on shapes only, never on a measurement at
run time: they add in different orders, and equal inputs have to give equal bits.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops import conv_columns, conv_few, conv_winograd
from ddp.autograd.ops.blocks import aligned_empty
from ddp.autograd.ops.layout import channels_first, channels_last, column_sums, pixels
from ddp.autograd.ops.window import Window
from ddp.autograd.tensor import Tensor, view_of, wrap


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None, window: Window, groups: int = 1
) -> Tensor:
    """Convolve (N, C, H, W) with (O, C / groups, kh, kw) → (N, O, Ho, Wo)."""
    x, columns = channels_last(input.array), None
    if not conv_few.suits(window, len(weight.array) // groups, weight.array.shape[1], x.dtype):
        x = pixels(input.array)
        if groups == 1:
            columns = columns_to_keep(x, weight.array, window)
    parts = [
        correlate(_part(x, 3, g, groups), _part(weight.array, 0, g, groups), window, columns)
        for g in range(groups)
    ]
    y = _joined(parts, 3)
    if bias is not None:
        add_bias(y, bias.array)
    output = wrap(channels_first(y))
    inputs = (input, weight) if bias is None else (input, weight, bias)
    if node := ConvolutionBackward0.record(output, *inputs):
        node.window, node.groups = window, groups
        if x.flags.owndata:  # a copy, in the order in which the gradient needs it again
            input = view_of(input, channels_first(x))
        node.save(
            input if node.needs(1) else None,
            weight if node.needs(0) else None,
            columns if node.needs(1) else None,
        )
    return output


class ConvolutionBackward0(Node):
    """y[n, o, i, j] = b[o] + sum over c, u, v of w[o, c, u, v] * x[n, c, i·s + u·d, j·s + v·d].

    Of this linear map dx and dw are the transposes, applied to dy; db is the sum of dy over images
    and pixels.
    """

    __slots__ = ("groups", "window")
    gives_new_arrays = True

    window: Window
    groups: int

    def backward(self, dy: Array) -> Gradients:
        x, w, columns = self.saved
        dy = pixels(dy)
        dys = [_part(dy, 3, g, self.groups) for g in range(self.groups)]
        dx = dw = None
        if self.needs(0):
            parts = [
                input_gradient(dy_g, _part(w, 0, g, self.groups), self.window)
                for g, dy_g in enumerate(dys)
            ]
            dx = channels_first(_joined(parts, 3))
        if self.needs(1):
            dw = self._weight_gradient(dys, channels_last(x), columns)
        if len(self.edges) == 2:
            return dx, dw
        db = bias_gradient(dy) if self.needs(2) else None
        return dx, dw, db

    def _weight_gradient(self, dys: list[Array], x: Array, columns: Array | None) -> Array:
        """dW, written where the leaf wants it."""
        outputs = dys[0].shape[3]
        shape = (outputs * self.groups, x.shape[3] // self.groups, *self.window.kernel)
        dw = self.sink(1)
        if dw is None or dw.shape != shape or dw.dtype != x.dtype or not dw.flags.c_contiguous:
            dw = np.empty(shape, x.dtype)
        for g, dy_g in enumerate(dys):
            x_g = _part(x, 3, g, self.groups)
            dw_g = dw[g * outputs : (g + 1) * outputs]
            weight_gradient(dy_g, x_g, self.window, dw_g, columns)
        return dw


def bias_gradient(dy: Array) -> Array:
    """The sum of (N, Ho, Wo, O) over all but O, whole rows of pixels first."""
    images, height, width, outputs = dy.shape
    rows = column_sums(dy.reshape(images * height, width * outputs))
    return column_sums(rows.reshape(width, outputs))


def add_bias(y: Array, bias: Array) -> None:
    """Add (O,) to each pixel of a dense (N, Ho, Wo, O), a row of pixels at a time."""
    row = np.tile(bias, y.shape[2])
    rows = y.reshape(-1, row.size) if row.size else y
    rows += row


def columns_to_keep(x: Array, w: Array, window: Window) -> Array | None:
    """The column matrix, unless it is large or Winograd's way is taken; for dense pixels x."""
    if suits_winograd(window, len(x), *w.shape[:2]):
        return None
    return conv_columns.only_block(x, len(w), window)


def correlate(x: Array, w: Array, window: Window, columns: Array | None = None) -> Array:
    """x (N, H, W, C) in any order of memory, w (O, C, kh, kw) → (N, Ho, Wo, O)."""
    if conv_few.suits(window, w.shape[0], w.shape[1], x.dtype):
        y = aligned_empty((len(x), *window.output, len(w)), x.dtype)
        conv_few.correlate(planes(x), np.ascontiguousarray(w), window, y)
        return y
    x = pixels(channels_first(x))
    if suits_winograd(window, len(x), *w.shape[:2]):
        return conv_winograd.correlate(x, conv_winograd.transformed(w), window)
    return conv_columns.correlate(x, w, window, columns)


def weight_gradient(
    dy: Array, x: Array, window: Window, dw: Array, columns: Array | None = None
) -> None:
    """dW, written to a dense dw (O, C, kh, kw), from dY (N, Ho, Wo, O) and x (N, H, W, C).

    x may have any order of memory.
    """
    if conv_few.suits(window, dw.shape[0], dw.shape[1], x.dtype):
        conv_few.weight_gradient(dy, planes(x), window, dw)
        return
    x = pixels(channels_first(x))
    if suits_winograd(window, len(x), dy.shape[3], x.shape[3]):
        conv_winograd.weight_gradient(dy, x, window, dw)
    else:
        conv_columns.weight_gradient(dy, x, window, dw, columns)


def planes(x: Array) -> Array:
    """(N, H, W, C) → (N, C, H, W), dense."""
    return np.ascontiguousarray(channels_first(x))


def input_gradient(dy: Array, w: Array, window: Window) -> Array:
    """dX from dY (N, Ho, Wo, O) → (N, H, W, C).

    With stride 1 that is the correlation of dY, framed, with the mirrored weights.
    """
    back = reversed_window(window)
    if back is not None and suits_winograd(back, len(dy), w.shape[1], w.shape[0]):
        return conv_winograd.correlate(dy, conv_winograd.transformed_mirrored(w), back)
    if back is None or scatters(window, back, len(dy), *w.shape[:2]):
        return conv_columns.scattered_gradient(dy, w, window)
    return conv_columns.correlate_taps(dy, conv_columns.mirrored_taps(w), back)


@lru_cache(1024)
def reversed_window(window: Window) -> Window | None:
    """The windows on dY that each input lies in; None where they are no frame of whole windows."""
    reach = window.reach
    (top, bottom), (left, right) = window.padding
    frame = ((reach[0] - top, reach[0] - bottom), (reach[1] - left, reach[1] - right))
    if window.stride != (1, 1) or min(*frame[0], *frame[1]) < 0:
        return None
    return Window(window.kernel, (1, 1), frame, window.dilation, window.output, window.input)


@lru_cache(1024)
def suits_winograd(window: Window, images: int, outputs: int, channels: int) -> bool:
    """Whether Winograd's way takes less time than the columns, by what was measured of both.

    Counted per input and output channel, in products at the speed of a large matrix product: the
    columns cost as much as 20 products per input, the transforms of a tile as much as 640 per
    channel, and the kernel's way there and back as much as 48 tiles. (25 shapes; where the two are
    within a tenth of each other the choice may be the wrong one.)
    """
    if window.kernel != (3, 3) or window.stride != (1, 1) or window.dilation != (1, 1):
        return False
    if min(channels, outputs) < 32:  # short runs, and columns that serve several pixels
        return False
    height, width = window.output
    tiles = images * -(-height // 2) * -(-width // 2)
    by_columns = 9 * images * height * width * (1 + 20 / outputs)
    by_tiles = 16 * (tiles + 48) + 640 * tiles * (1 / channels + 1 / outputs)
    return by_tiles < by_columns


@lru_cache(1024)
def scatters(window: Window, back: Window, images: int, outputs: int, channels: int) -> bool:
    """Whether adding pixels back beats gathering them from `back`."""
    if conv_columns.leaves_kernels(window, images, outputs):
        return True
    _, cost = conv_columns.scatter_tile(window, channels, outputs)
    scattered = math.prod(window.output) * cost
    return scattered < math.prod(window.input) * conv_columns.gather_cost(back, outputs, channels)


def _part(array: Array, axis: int, group: int, groups: int) -> Array:
    """The slice of `axis` that belongs to `group`, dense; the array itself for one group."""
    if groups == 1:
        return array
    size = array.shape[axis] // groups
    index = [slice(None)] * array.ndim
    index[axis] = slice(group * size, (group + 1) * size)
    return np.ascontiguousarray(array[tuple(index)])


def _joined(parts: list[Array], axis: int) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)
