"""Dropout: zero some elements, and scale the others so that the mean stays."""

from __future__ import annotations

import numpy as np

from ddp.autograd.dtypes import message_name
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.random import RandomSource, current_generator
from ddp.autograd.tensor import Tensor, wrap


def dropout(input: Tensor, p: float, generator: RandomSource | None = None) -> Tensor:
    """Zero each element with probability `p`, 0 < p < 1, drawn in the order of the shape."""
    if input.array.dtype.kind != "f":
        raise RuntimeError(
            "result type Float can't be cast to the desired output type "
            f"{message_name(input.array.dtype)}"
        )
    generator = current_generator() if generator is None else generator
    mask = generator.bernoulli(input.shape, 1.0 - p)
    scale = 1.0 / (1.0 - p)
    output = wrap(masked(input.array, mask, scale))
    if node := NativeDropoutBackward0.record(output, input):
        node.scale = scale
        node.save(mask)
    return output


class NativeDropoutBackward0(Node):
    """y = x * mask / (1 - p);  dx = dy * mask / (1 - p)."""

    __slots__ = ("scale",)

    scale: float

    def backward(self, dy: Array) -> Gradients:
        (mask,) = self.saved
        return (masked(dy, mask, self.scale),)


def masked(x: Array, mask: Array, scale: float) -> Array:
    """x * mask * scale in the memory order of `x` (the mask is dense in C order)."""
    y = np.multiply(x, mask, out=np.empty_like(x))
    y *= scale
    return y
