"""Two-dimensional convolution: columns (im2col) in blocks of images, and one product per block.

Shapes are PyTorch's: images (N, C, H, W), weights (O, C / groups, kh, kw). Memory is channels-last
(`layout.py`), so a window's row of pixels is one run of it, and the column matrix (N·Ho·Wo,
kh·kw·C) is copied in long runs.

A block holds as many images as keep its columns in the L2 cache. The columns are not kept for the
backward pass but made again: nine times the activation's memory for a 3x3 kernel. Blocks depend on
shapes only, so equal inputs give equal bits.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.lib.stride_tricks import as_strided

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.layout import channels_first, channels_last, column_sums
from ddp.autograd.ops.window import Window
from ddp.autograd.tensor import Tensor, wrap

# Half a core's L2 cache: best or next to it on seven shapes with 1 to 128 channels. It is part of
# the result's bits: weight gradients are summed block by block.
COLUMNS_BYTES = 512 << 10


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None, window: Window, groups: int = 1
) -> Tensor:
    """Convolve (N, C, H, W) with (O, C / groups, kh, kw) → (N, O, Ho, Wo)."""
    x = np.ascontiguousarray(channels_last(input.array))
    parts = [
        correlate(_part(x, 3, g, groups), _part(weight.array, 0, g, groups), window)
        for g in range(groups)
    ]
    y = _joined(parts, 3)
    if bias is not None:
        y += bias.array
    output = wrap(channels_first(y))
    inputs = (input, weight) if bias is None else (input, weight, bias)
    if node := ConvolutionBackward0.record(output, *inputs):
        node.window, node.groups = window, groups
        node.save(input if node.needs(1) else None, weight if node.needs(0) else None)
    return output


class ConvolutionBackward0(Node):
    """y[n, o, i, j] = b[o] + sum over c, u, v of w[o, c, u, v] * x[n, c, i·s + u·d, j·s + v·d].

    With columns X (N·Ho·Wo, kh·kw·C) of x, packed weights W (kh·kw·C, O) and Y = X @ W + b:
    dW = Xᵀ @ dY, db = sum of the rows of dY, and dX = dY @ Wᵀ, added up pixel by pixel.
    """

    __slots__ = ("groups", "window")

    window: Window
    groups: int

    def backward(self, dy: Array) -> Gradients:
        x, w = self.saved
        needs_x, needs_w = self.needs(0), self.needs(1)
        dx_parts, dw_parts = [], []
        dy = np.ascontiguousarray(channels_last(dy))
        for g in range(self.groups):
            dy_g = _part(dy, 3, g, self.groups)
            if needs_x:
                w_g = _part(w, 0, g, self.groups)
                dx_parts.append(input_gradient(dy_g, w_g, self.window))
            if needs_w:
                x_g = _part(channels_last(x), 3, g, self.groups)
                dw_parts.append(weight_gradient(dy_g, x_g, self.window))
        dx = channels_first(_joined(dx_parts, 3)) if needs_x else None
        dw = _joined(dw_parts, 0) if needs_w else None
        if len(self.next_functions) == 2:
            return dx, dw
        db = column_sums(dy.reshape(-1, dy.shape[3])) if self.needs(2) else None
        return dx, dw, db


def correlate(x: Array, w: Array, window: Window) -> Array:
    """Y = X @ W, block by block: x (N, H, W, C), w (O, C, kh, kw) → (N, Ho, Wo, O)."""
    packed = pack(w)
    y = np.empty((len(x), *window.output, len(w)), x.dtype)
    rows = y.reshape(-1, len(w))
    for block, columns in column_blocks(x, window):
        np.matmul(columns, packed, out=rows[block])
    return y


def weight_gradient(dy: Array, x: Array, window: Window) -> Array:
    """dW = Xᵀ @ dY, summed block by block → (O, C, kh, kw)."""
    rows = dy.reshape(-1, dy.shape[3])
    channels = x.shape[3]
    kh, kw = window.kernel
    dw = np.zeros((rows.shape[1], kh * kw * channels), x.dtype)
    for block, columns in column_blocks(np.ascontiguousarray(x), window):
        dw += rows[block].T @ columns
    return dw.reshape(-1, kh, kw, channels).transpose(0, 3, 1, 2)


def input_gradient(dy: Array, w: Array, window: Window) -> Array:
    """dX from dY (N, Ho, Wo, O) → (N, H, W, C).

    With stride 1 that is the correlation of dY, framed, with the mirrored weights: 1.1 to 3 times
    as fast as adding each window's row back onto its pixels, which serves the other strides.
    """
    reach = window.reach
    (top, bottom), (left, right) = window.padding
    frame = ((reach[0] - top, reach[0] - bottom), (reach[1] - left, reach[1] - right))
    if window.stride != (1, 1) or min(*frame[0], *frame[1]) < 0:
        return scattered_gradient(dy, w, window)
    mirrored = w[:, :, ::-1, ::-1].swapaxes(0, 1)
    back = Window(window.kernel, (1, 1), frame, window.dilation, window.output, window.input)
    return correlate(dy, mirrored, back)


def scattered_gradient(dy: Array, w: Array, window: Window) -> Array:
    """dX = dY @ Wᵀ, each window's row added back onto its pixels → (N, H, W, C)."""
    images, channels = len(dy), w.shape[1]
    packed_t = np.ascontiguousarray(pack(w).T)
    rows = dy.reshape(-1, len(w))
    kh, kw = window.kernel
    area = window.output[0] * window.output[1]
    dx = np.zeros((images, *window.padded, channels), dy.dtype)
    for first, last in image_blocks(images, window, channels * dy.itemsize):
        columns = rows[first * area : last * area] @ packed_t
        columns = columns.reshape(last - first, *window.output, kh, kw, channels)
        for row in range(kh):
            for column in range(kw):
                pixels = window.shifted(dx[first:last], row, column)
                pixels += columns[:, :, :, row, column]
    return window.interior(dx)


def pack(w: Array) -> Array:
    """(O, C, kh, kw) → (kh·kw·C, O), the order of a column matrix's columns."""
    return np.ascontiguousarray(w.transpose(2, 3, 1, 0).reshape(-1, len(w)))


def image_blocks(images: int, window: Window, pixel_bytes: int) -> Iterator[tuple[int, int]]:
    """First and last image of each block whose columns fill about COLUMNS_BYTES."""
    kh, kw = window.kernel
    image_bytes = window.output[0] * window.output[1] * kh * kw * pixel_bytes
    size = max(1, COLUMNS_BYTES // max(1, image_bytes))
    for first in range(0, images, size):
        yield first, min(first + size, images)


def column_blocks(x: Array, window: Window) -> Iterator[tuple[slice, Array]]:
    """The column matrix of a dense (N, H, W, C) array, as (which rows, those rows).

    The memory of a block is used again for the next.
    """
    images, _, _, channels = x.shape
    area = window.output[0] * window.output[1]
    if window.is_pointwise:
        yield slice(0, images * area), x.reshape(-1, channels)
        return
    blocks = list(image_blocks(images, window, channels * x.itemsize))
    largest = blocks[0][1] if blocks else 0
    memory = np.empty((largest, *window.output, *window.kernel, channels), x.dtype)
    padded = np.zeros((largest, *window.padded, channels), x.dtype) if window.is_padded else None
    for first, last in blocks:
        image = x[first:last]
        if padded is not None:
            window.interior(padded)[: last - first] = image
            image = padded[: last - first]
        columns = memory[: last - first]
        columns[...] = windows_of(image, window)
        yield slice(first * area, last * area), columns.reshape((last - first) * area, -1)


def windows_of(image: Array, window: Window) -> Array:
    """A view (N, Ho, Wo, kh, kw, C) of a padded (N, Hp, Wp, C) array: what each window sees."""
    images, _, _, channels = image.shape
    per_image, per_row, per_pixel, per_channel = image.strides
    return as_strided(
        image,
        (images, *window.output, *window.kernel, channels),
        (
            per_image,
            per_row * window.stride[0],
            per_pixel * window.stride[1],
            per_row * window.dilation[0],
            per_pixel * window.dilation[1],
            per_channel,
        ),
        writeable=False,
    )


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
