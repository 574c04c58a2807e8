"""Normalisation of each sample by itself: over the last axes, or over groups of channels.

Means and sums of squares are taken on dense rows in C order, whatever the memory's order was. The
variance is that of the centred values (two passes), which keeps its digits far from zero. All
passes over some rows are made before the next rows are touched: they then run in the cache.
"""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.blocks import aligned_empty, row_blocks, row_sums
from ddp.autograd.ops.layout import column_sums
from ddp.autograd.tensor import Tensor, wrap
from ddp.kernels import kernel


def layer_norm(
    input: Tensor, axes: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise over the last `axes` axes; `weight` and `bias` have their shape, or are None."""
    rows = dense_rows(input.array, math.prod(input.shape[-axes:]))
    normal, y = (aligned_empty(rows.shape, rows.dtype) for _ in range(2))
    inverse_std = np.empty((len(rows), 1), rows.dtype)
    w = None if weight is None else weight.array.reshape(-1)
    b = None if bias is None else bias.array.reshape(-1)
    forward(rows, w, b, eps, normal, inverse_std, y)
    output = wrap(y.reshape(input.shape))
    inputs = [tensor for tensor in (input, weight, bias) if tensor is not None]
    if node := NativeLayerNormBackward0.record(output, *inputs):
        node.has_weight, node.has_bias = weight is not None, bias is not None
        node.shape = input.shape[-axes:]
        node.save(normal, inverse_std, weight)
    return output


@kernel
def forward(
    x: Array,
    weight: Array | None,
    bias: Array | None,
    eps: float,
    normal: Array,
    inverse_std: Array,
    y: Array,
) -> None:
    """y = n · w + b with n = (x - mean) / √(var + eps) for rows x (M, D); `inverse_std`: (M, 1)."""
    for x_part, n, s, y_part in row_blocks(x, normal, inverse_std, y):
        normalise(x_part, eps, n, s)
        affine(n, weight, bias, y_part)


@kernel
def backward(
    dy: Array,
    normal: Array,
    inverse_std: Array,
    weight: Array | None,
    dx: Array | None,
    dw: Array,
    db: Array,
) -> None:
    """dw = Σ dy · n and db = Σ dy over the rows (D,), and if wanted dx, as in the node below."""
    dw.fill(0)
    db.fill(0)
    for g, n, s, dx_part in row_blocks(dy, normal, inverse_std, dy if dx is None else dx):
        scratch = g * n
        dw += column_sums(scratch)
        db += column_sums(g)
        if dx is not None:
            affine(g, weight, None, dx_part)
            input_gradient(dx_part, n, s, scratch)


def dense_rows(x: Array, length: int) -> Array:
    """The values in C order as rows of `length`."""
    return np.ascontiguousarray(x).reshape(-1 if length else 0, length)


def normalise(x: Array, eps: float, normal: Array, inverse_std: Array) -> None:
    """Write x with mean 0 and variance 1 in each row, and 1 / √(var + eps) of each row (M, 1)."""
    np.subtract(x, row_means(x), out=normal)
    variance = np.vecdot(normal, normal)
    variance /= x.shape[1]
    variance += eps
    np.sqrt(variance, out=variance)
    np.reciprocal(variance, out=inverse_std[:, 0])
    normal *= inverse_std


def row_means(rows: Array) -> Array:
    """(M, D) → (M, 1)."""
    means = row_sums(rows)
    means /= rows.shape[1]
    return means


def affine(normal: Array, weight: Array | None, bias: Array | None, out: Array) -> None:
    """n · w + b, of which either may be missing. Always a copy: `normal` is backward's."""
    if weight is None:
        np.copyto(out, normal)
    else:
        np.multiply(normal, weight, out=out)
    if bias is not None:
        out += bias


def input_gradient(dx: Array, normal: Array, inverse_std: Array, scratch: Array) -> None:
    """From g = dy · w of (M, D) rows, in its place, s · (g - mean g - n · mean(g · n)) per row."""
    dots = np.vecdot(dx, normal)
    dots /= dx.shape[1]
    dx -= row_means(dx)
    dx -= np.multiply(normal, dots[:, np.newaxis], out=scratch)
    dx *= inverse_std


class NativeLayerNormBackward0(Node):
    """y = n · w + b with n = (x - mean) · s, s = 1 / √(var + eps) per row of D values.

    dw = Σ dy · n and db = Σ dy over the rows;  dx = s · (g - mean g - n · mean(g · n)), g = dy · w.
    """

    __slots__ = ("has_bias", "has_weight", "shape")
    gives_new_arrays = True

    shape: tuple[int, ...]  # of the weight and the bias
    has_weight: bool
    has_bias: bool

    def backward(self, dy: Array) -> Gradients:
        normal, inverse_std, weight = self.saved
        rows = np.ascontiguousarray(dy).reshape(normal.shape)
        w = None if weight is None else weight.reshape(-1)
        dx = aligned_empty(rows.shape, rows.dtype) if self.needs(0) else None
        dw, db = np.empty(rows.shape[1], rows.dtype), np.empty(rows.shape[1], rows.dtype)
        backward(rows, normal, inverse_std, w, dx, dw, db)
        gradients: list[Array | None] = [None if dx is None else dx.reshape(dy.shape)]
        if self.has_weight:
            gradients.append(dw.reshape(self.shape))
        if self.has_bias:
            gradients.append(db.reshape(self.shape))
        return tuple(gradients)


def group_norm(
    input: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise (N, C, ...) over each group of C / groups channels; `weight`, `bias`: (C,)."""
    images, channels = input.shape[:2]
    rows = dense_rows(input.array, input.array.size // max(images * groups, 1))
    normal, inverse_std = np.empty_like(rows), np.ones((len(rows), 1), rows.dtype)
    for x_part, n, s in row_blocks(rows, normal, inverse_std):
        normalise(x_part, eps, n, s)
    maps = normal.reshape(images, channels, -1)  # (N, C, pixels)
    y = np.empty_like(maps)
    affine(maps, per_channel(weight), per_channel(bias), y)
    output = wrap(y.reshape(input.shape))
    inputs = [tensor for tensor in (input, weight, bias) if tensor is not None]
    if node := NativeGroupNormBackward0.record(output, *inputs):
        node.has_weight, node.has_bias = weight is not None, bias is not None
        node.save(normal, inverse_std, weight)
    return output


def per_channel(parameter: Tensor | None) -> Array | None:
    """(C,) → (C, 1), to go with (N, C, pixels)."""
    return None if parameter is None else parameter.array[:, np.newaxis]


class NativeGroupNormBackward0(Node):
    """The same per group of channels: w and b are per channel, the statistics per group."""

    __slots__ = ("has_bias", "has_weight")

    has_weight: bool
    has_bias: bool

    def backward(self, dy: Array) -> Gradients:
        normal, inverse_std, weight = self.saved
        maps = np.ascontiguousarray(dy).reshape(*dy.shape[:2], -1)  # (N, C, pixels)
        gradients: list[Array | None] = [None] * len(self.next_functions)
        if self.needs(0):
            dx = np.empty_like(maps)
            affine(maps, None if weight is None else weight[:, np.newaxis], None, dx)
            for dx_part, n, s in row_blocks(dx.reshape(normal.shape), normal, inverse_std):
                input_gradient(dx_part, n, s, np.empty_like(n))
            gradients[0] = dx.reshape(dy.shape)
        if self.has_weight and self.needs(1):
            dots = np.vecdot(maps, normal.reshape(maps.shape))
            gradients[1] = column_sums(dots)
        if self.has_bias and self.needs(-1):
            gradients[-1] = column_sums(maps.sum(2))
        return tuple(gradients)
