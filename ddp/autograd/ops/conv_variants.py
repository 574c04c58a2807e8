"""Convolution along one axis, and transposed: the routines of `conv.py` in other arrangements."""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.conv import (
    ConvolutionBackward0,
    add_bias,
    conv2d,
    correlate,
    input_gradient,
    weight_gradient,
)
from ddp.autograd.ops.conv_columns import scattered_gradient
from ddp.autograd.ops.layout import channels_first, channels_last, column_sums
from ddp.autograd.ops.window import Window
from ddp.autograd.tensor import Tensor, view_of, wrap


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None, window: Window, groups: int
) -> Tensor:
    """Convolve (N, C, L) with (O, C / groups, k) → (N, O, Lo), as images of height 1."""
    image, kernel = input.array[:, :, None], weight.array[:, :, None]
    offset = None if bias is None else wrap(bias.array)
    output = wrap(conv2d(wrap(image), wrap(kernel), offset, window, groups).array[:, :, 0])
    inputs = (input, weight) if bias is None else (input, weight, bias)
    if node := Convolution1DBackward0.record(output, *inputs):
        node.window, node.groups = window, groups
        node.save(
            view_of(input, image) if node.needs(1) else None,
            view_of(weight, kernel) if node.needs(0) else None,
            None,
        )
    return output


class Convolution1DBackward0(ConvolutionBackward0):
    """The gradients of a convolution of images of height 1."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        dx, dw, *db = super().backward(dy[:, :, None])
        return (None if dx is None else dx[:, :, 0], None if dw is None else dw[:, :, 0], *db)

    def name(self) -> str:
        return "ConvolutionBackward0"


def conv_transpose2d(
    input: Tensor, weight: Tensor, bias: Tensor | None, window: Window, groups: int
) -> Tensor:
    """The transpose of a convolution: (N, C, H, W) with (C, O / groups, kh, kw) → (N, O, Ho, Wo).

    `window` is that of the convolution which this one reverses, from (Ho, Wo) to (H, W).
    """
    x = np.ascontiguousarray(channels_last(input.array))
    parts = [
        spread_out(x_g, w_g, window)
        for x_g, w_g in zip(
            groups_of(x, 3, groups), groups_of(weight.array, 0, groups), strict=True
        )
    ]
    y = np.concatenate(parts, 3)
    if bias is not None:
        add_bias(y, bias.array)
    output = wrap(channels_first(y))
    inputs = (input, weight) if bias is None else (input, weight, bias)
    if node := TransposedConvolutionBackward0.record(output, *inputs):
        node.window, node.groups = window, groups
        node.save(input if node.needs(1) else None, weight if node.needs(0) else None)
    return output


def spread_out(x: Array, w: Array, window: Window) -> Array:
    """Every pixel of x times the kernel, added up where the kernels overlap."""
    leftover = [
        padded - reach - stride * (count - 1) - 1
        for padded, reach, stride, count in zip(
            window.padded, window.reach, window.stride, window.output, strict=True
        )
    ]
    if any(leftover):  # rows that no kernel reaches, which the correlation would not make
        return scattered_gradient(x, w, window)
    return input_gradient(x, w, window)


class TransposedConvolutionBackward0(Node):
    """y = the gradient that a convolution with w would send back for x, plus b.

    So dx is that convolution of dy, dw its weight gradient with x in dy's place and dy in x's, and
    db the sum of dy over images and pixels.
    """

    __slots__ = ("groups", "window")

    window: Window
    groups: int

    def backward(self, dy: Array) -> Gradients:
        x, w = self.saved
        dx = dw = None
        dy = np.ascontiguousarray(channels_last(dy))
        dys = groups_of(dy, 3, self.groups)
        if self.needs(0):
            pairs = zip(dys, groups_of(w, 0, self.groups), strict=True)
            dx_parts = [correlate(dy_g, w_g, self.window) for dy_g, w_g in pairs]
            dx = channels_first(np.concatenate(dx_parts, 3))
        if self.needs(1):
            xs = groups_of(np.ascontiguousarray(channels_last(x)), 3, self.groups)
            dw = np.empty((x.shape[1], dys[0].shape[3], *self.window.kernel), dy.dtype)
            for x_g, dy_g, dw_g in zip(xs, dys, np.split(dw, self.groups), strict=True):
                weight_gradient(x_g, dy_g, self.window, dw_g)
        if len(self.next_functions) == 2:
            return dx, dw
        db = column_sums(dy.reshape(-1, dy.shape[3])) if self.needs(2) else None
        return dx, dw, db

    def name(self) -> str:
        return "ConvolutionBackward0"


def groups_of(array: Array, axis: int, groups: int) -> list[Array]:
    """The parts of `axis` that belong to each group, dense."""
    return [np.ascontiguousarray(part) for part in np.split(array, groups, axis)]
