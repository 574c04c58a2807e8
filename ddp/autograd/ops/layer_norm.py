"""Normalisation of each sample by itself: over the last axes, or over groups of channels.

Means and sums of squares are taken on dense rows in C order, whatever the memory's order was. The
variance is that of the centred values (two passes), which keeps its digits far from zero.
"""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.layout import column_dots, column_sums
from ddp.autograd.tensor import Tensor, wrap


def layer_norm(
    input: Tensor, axes: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise over the last `axes` axes; `weight` and `bias` have their shape, or are None."""
    length = math.prod(input.shape[-axes:])
    normal, inverse_std = normalised(input.array, length, eps)
    y = normal if weight is None else normal * weight.array.reshape(-1)
    if bias is not None:
        y = y + bias.array.reshape(-1)
    if y is normal:
        y = normal.copy()  # what backward needs is nobody's to write to
    output = wrap(y.reshape(input.shape))
    inputs = [tensor for tensor in (input, weight, bias) if tensor is not None]
    if node := NativeLayerNormBackward0.record(output, *inputs):
        node.has_weight, node.has_bias = weight is not None, bias is not None
        node.shape = input.shape[-axes:]
        node.save(normal, inverse_std, weight)
    return output


def normalised(x: Array, length: int, eps: float) -> tuple[Array, Array]:
    """Dense rows of `length` with mean 0 and variance 1, and 1 / √(var + eps) per row (M, 1)."""
    rows = np.ascontiguousarray(x).reshape(-1 if length else 0, length)
    if x.size == 0:
        return rows, np.ones((len(rows), 1), rows.dtype)
    centred = rows - rows.mean(1, keepdims=True)
    variance = np.einsum("mc,mc->m", centred, centred) / length
    inverse_std = (1.0 / np.sqrt(variance + eps))[:, None]
    centred *= inverse_std
    return centred, inverse_std


def input_gradient(scaled: Array, normal: Array, inverse_std: Array) -> Array:
    """dx = s · (g - mean g - n · mean(g · n)) per row, for g = dy · w of (M, D) rows."""
    length = normal.shape[1]
    dots = np.einsum("mc,mc->m", scaled, normal)[:, None] / length
    dx = scaled - scaled.mean(1, keepdims=True)
    dx -= normal * dots
    dx *= inverse_std
    return dx


class NativeLayerNormBackward0(Node):
    """y = n · w + b with n = (x - mean) · s, s = 1 / √(var + eps) per row of D values.

    dw = Σ dy · n and db = Σ dy over the rows;  dx = s · (g - mean g - n · mean(g · n)), g = dy · w.
    """

    __slots__ = ("has_bias", "has_weight", "shape")

    shape: tuple[int, ...]  # of the weight and the bias
    has_weight: bool
    has_bias: bool

    def backward(self, dy: Array) -> Gradients:
        normal, inverse_std, weight = self.saved
        rows = np.ascontiguousarray(dy).reshape(normal.shape)
        gradients: list[Array | None] = [None] * len(self.next_functions)
        if self.needs(0):
            scaled = rows if weight is None else rows * weight.reshape(-1)
            gradients[0] = input_gradient(scaled, normal, inverse_std).reshape(dy.shape)
        if self.has_weight and self.needs(1):
            gradients[1] = column_dots(rows, normal).reshape(self.shape)
        if self.has_bias and self.needs(-1):
            gradients[-1] = column_sums(rows).reshape(self.shape)
        return tuple(gradients)


def group_norm(
    input: Tensor, groups: int, weight: Tensor | None, bias: Tensor | None, eps: float
) -> Tensor:
    """Normalise (N, C, ...) over each group of C / groups channels; `weight`, `bias`: (C,)."""
    images, channels = input.shape[:2]
    length = input.array.size // max(images * groups, 1)
    normal, inverse_std = normalised(input.array, length, eps)
    y = normal.reshape(images, channels, -1)
    if weight is not None:
        y = y * weight.array[:, None]
    if bias is not None:
        y = y + bias.array[:, None]
    if weight is None and bias is None:
        y = y.copy()  # what backward needs is nobody's to write to
    output = wrap(y.reshape(input.shape))
    inputs = [tensor for tensor in (input, weight, bias) if tensor is not None]
    if node := NativeGroupNormBackward0.record(output, *inputs):
        node.has_weight, node.has_bias = weight is not None, bias is not None
        node.save(normal, inverse_std, weight)
    return output


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
            scaled = maps if weight is None else maps * weight[:, None]
            dx = input_gradient(scaled.reshape(normal.shape), normal, inverse_std)
            gradients[0] = dx.reshape(dy.shape)
        if self.has_weight and self.needs(1):
            dots = np.einsum("ncp,ncp->nc", maps, normal.reshape(maps.shape))
            gradients[1] = column_sums(dots)
        if self.has_bias and self.needs(-1):
            gradients[-1] = column_sums(maps.sum(2))
        return tuple(gradients)
