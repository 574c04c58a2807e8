"""Batch normalisation over all axes but the second.

Statistics are taken on the dense matrix (samples · pixels, channels) that channels-last memory is
already, so their bits depend on shapes and values only. The variance is that of the centred values
(two passes): the one-pass formula cancels when the mean is large.
"""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.layout import as_rows, column_dots, column_sums, from_rows
from ddp.autograd.tensor import Tensor, wrap


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
    rows = as_rows(input.array)
    if statistics is None:
        mean = column_sums(rows) / len(rows)
        centred = rows - mean
        variance = column_dots(centred, centred) / len(rows)
    else:
        mean, variance = statistics
        centred = rows - mean
    inverse_std = 1.0 / np.sqrt(variance + eps)
    y = centred * (inverse_std if weight is None else inverse_std * weight.array)
    if bias is not None:
        y += bias.array
    output = wrap(from_rows(y, input.shape))
    inputs = [tensor for tensor in (input, weight, bias) if tensor is not None]
    if node := NativeBatchNormBackward0.record(output, *inputs):
        node.uses_batch = statistics is None
        needs_centred = node.uses_batch or (weight is not None and weight.requires_grad)
        node.save(centred if needs_centred else None, inverse_std, weight)
    return output, mean, variance


class NativeBatchNormBackward0(Node):
    """y = (x - mean) * s * w + b with s = 1 / sqrt(var + eps), per channel of M values.

    With the batch's own statistics: dw = sum(dy * c) * s and db = sum(dy) for c = x - mean, and
    dx = w * s * (dy - db / M - c * s * dw / M). With given statistics mean and s are constants:
    dx = w * s * dy.
    """

    __slots__ = ("uses_batch",)

    uses_batch: bool

    def backward(self, dy: Array) -> Gradients:
        centred, inverse_std, w = self.saved
        rows = as_rows(dy)
        db = column_sums(rows)
        dw = None
        if centred is not None:
            dw = column_dots(rows, centred) * inverse_std
        scale = inverse_std if w is None else inverse_std * w
        dx = None
        if self.needs(0):
            dx = rows * scale
            if self.uses_batch:
                m = len(rows)
                dx -= centred * (scale * inverse_std * dw / m)
                dx -= scale * db / m
            dx = from_rows(dx, dy.shape)
        gradients = (dx, db) if w is None else (dx, dw, db)
        return gradients[: len(self.next_functions)]
