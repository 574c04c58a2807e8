"""Batch normalisation over all axes but the second.

Everything is done on the dense matrix (samples · pixels, channels) that channels-last memory is
already, in blocks that stay in the L2 cache: once to add up, once to write. So the bits depend on
shapes and values only.

The variance is that of values less their mean, block by block; the blocks' means and squares are
put together in float64 (Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for
computing sample variances", 1979). The formula with the mean of the squares would cancel where the
mean is large.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.blocks import aligned_empty, unbuffered
from ddp.autograd.ops.layout import as_rows, column_sums, from_rows
from ddp.autograd.tensor import Tensor, wrap
from ddp.kernels import kernel

BLOCK = 1 << 16  # elements of a block: it and one of scratch are half a megabyte in float32
WIDTH = 1 << 10  # elements up to which pixels are put side by side: NumPy likes long rows


def batch_norm(
    input: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    statistics: tuple[Array, Array] | None,
    eps: float,
) -> tuple[Tensor, Array, Array]:
    """Normalise (N, C, ...) per channel → (output, mean (C,), biased variance (C,)).

    `statistics` are the (mean, variance) to use in place of the batch's own. `weight` and `bias`
    are (C,) or None.
    """
    x = as_rows(input.array)
    mean, variance = np.empty((2, x.shape[1]), x.dtype) if statistics is None else statistics
    if statistics is None:
        moments(x, mean, variance)
    inverse_std = 1.0 / np.sqrt(variance + eps)
    scale = inverse_std if weight is None else inverse_std * weight.array
    offset = -mean * scale if bias is None else bias.array - mean * scale
    y = aligned_empty(x.shape, x.dtype)
    scaled(x, scale, offset, y)
    output = wrap(from_rows(y, input.shape))
    inputs = [tensor for tensor in (input, weight, bias) if tensor is not None]
    if node := NativeBatchNormBackward0.record(output, *inputs):
        node.uses_batch = statistics is None
        needs_input = node.uses_batch or (weight is not None and weight.requires_grad)
        node.save(input if needs_input else None, mean, inverse_std, weight)
    return output, mean, variance


class NativeBatchNormBackward0(Node):
    """y = (x - mean) * s * w + b with s = 1 / sqrt(var + eps), per channel of M values.

    With the batch's own statistics: dw = sum(dy * c) * s and db = sum(dy) for c = x - mean, and
    dx = w * s * (dy - db / M - c * s * dw / M). With given statistics mean and s are constants:
    dx = w * s * dy.
    """

    __slots__ = ("uses_batch",)
    gives_new_arrays = True

    uses_batch: bool

    def backward(self, dy: Array) -> Gradients:
        input, mean, inverse_std, w = self.saved
        rows = as_rows(dy)
        scale = inverse_std if w is None else inverse_std * w
        dx = dw = None
        if input is None:
            db = column_sums(rows)
        else:
            x = as_rows(input)
            db, dots = np.empty((2, x.shape[1]), x.dtype)
            gradient_sums(rows, x, mean, db, dots)
            dw = dots * inverse_std
        if self.needs(0):
            if self.uses_batch:
                slope = -scale * inverse_std * dw / len(rows)
                dx = aligned_empty(rows.shape, rows.dtype)
                combination(rows, x, mean, scale, slope, -scale * db / len(rows), dx)
            else:
                dx = rows * scale
            dx = from_rows(dx, dy.shape)
        gradients = (dx, db) if w is None else (dx, dw, db)
        return gradients[: len(self.edges)]


@kernel
@unbuffered()
def moments(x: Array, mean: Array, variance: Array) -> None:
    """Mean and biased variance, (C,), of the columns of (M, C)."""
    wide, repeats, scratch = side_by_side(x)
    sums, squares, counts = [], [], []
    for rows in blocks(wide):
        block = wide[rows]
        count = len(block) * repeats
        total = folded(np.ones(len(block), x.dtype) @ block, repeats)
        middle = (total / count).astype(x.dtype)
        centred = np.subtract(block, repeated(middle, repeats), out=scratch[: len(block)])
        square = folded(np.einsum("mc,mc->c", centred, centred), repeats)
        square -= count * np.square(total / count - middle)  # as the mean was rounded
        sums.append(total)
        squares.append(square)
        counts.append(count)
    if len(counts) == 1:
        mean[...], variance[...] = middle, square / count
    else:
        mean[...], variance[...] = put_together(
            np.array(sums), np.array(squares), np.array(counts)[:, None]
        )


def put_together(sums: Array, squares: Array, counts: Array) -> tuple[Array, Array]:
    """Mean and variance, from each block's sum, squares less its mean, and length."""
    length = counts.sum()
    mean = sums.sum(0) / length
    apart = np.square(sums / counts - mean)
    return mean, (squares + counts * apart).sum(0) / length


@kernel
@unbuffered()
def scaled(x: Array, scale: Array, offset: Array, y: Array) -> None:
    """y = x * scale + offset of (M, C)."""
    wide, repeats, _ = side_by_side(x)
    scale, offset = repeated(scale, repeats), repeated(offset, repeats)
    y = y.reshape(wide.shape)
    for rows in blocks(wide):
        block = np.multiply(wide[rows], scale, out=y[rows])
        block += offset


@kernel
@unbuffered()
def gradient_sums(dy: Array, x: Array, mean: Array, db: Array, dots: Array) -> None:
    """db and dots (C,), the sums of the columns of dy and of dy * (x - mean), all (M, C)."""
    wide, repeats, scratch = side_by_side(x)
    wide_dy, mean = dy.reshape(wide.shape), repeated(mean, repeats)
    sums, products = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    for rows in blocks(wide):
        block = wide_dy[rows]
        centred = np.subtract(wide[rows], mean, out=scratch[: len(block)])
        sums += folded(np.ones(len(block), dy.dtype) @ block, repeats)
        products += folded(np.einsum("mc,mc->c", block, centred), repeats)
    db[...], dots[...] = sums, products


@kernel
@unbuffered()
def combination(dy: Array, x: Array, mean: Array, a: Array, b: Array, c: Array, dx: Array) -> None:
    """dx = dy * a + (x - mean) * b + c of (M, C)."""
    wide, repeats, scratch = side_by_side(x)
    wide_dy, mean = dy.reshape(wide.shape), repeated(mean, repeats)
    a, b, c = repeated(a, repeats), repeated(b, repeats), repeated(c, repeats)
    dx = dx.reshape(wide.shape)
    for rows in blocks(wide):
        block = np.multiply(wide_dy[rows], a, out=dx[rows])
        centred = np.subtract(wide[rows], mean, out=scratch[: len(block)])
        centred *= b
        block += centred
        block += c


def side_by_side(x: Array) -> tuple[Array, int, Array]:
    """(M, C) as (M / k, k · C), a view; k; and scratch memory for a block."""
    count, channels = x.shape
    repeats = 1
    while count % (2 * repeats) == 0 and 2 * repeats * channels <= WIDTH:
        repeats *= 2
    wide = x.reshape(count // repeats, repeats * channels)
    return wide, repeats, aligned_empty((min(len(wide), block_rows(wide)), wide.shape[1]), x.dtype)


def blocks(wide: Array) -> Iterator[slice]:
    """The rows of each block, all of the same number but the last."""
    size = block_rows(wide)
    for first in range(0, len(wide), size):
        yield slice(first, first + size)


def block_rows(wide: Array) -> int:
    """How many rows make a block."""
    return max(1, BLOCK // wide.shape[1])


def repeated(values: Array, repeats: int) -> Array:
    """(C,) for pixels side by side: (k · C,)."""
    wide = np.empty((repeats, len(values)), values.dtype)
    wide[...] = values
    return wide.reshape(-1)


def folded(sums: Array, repeats: int) -> Array:
    """The sums of pixels side by side, (k · C,), put together in float64: (C,)."""
    total: Array = sums.reshape(repeats, -1).sum(0, dtype=np.float64)
    return total
