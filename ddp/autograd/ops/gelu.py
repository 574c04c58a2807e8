"""GELU, exact and by tanh (Hendrycks and Gimpel, arXiv:1606.08415).

The exact one is computed block by block: its many passes then run in the cache.
"""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.erf import blocks, erf
from ddp.autograd.tensor import Tensor, wrap

ROOT_HALF = math.sqrt(0.5)
ROOT_2_OVER_PI = math.sqrt(2 / math.pi)
CUBIC = 0.044715


def gelu(input: Tensor) -> Tensor:
    """y = x · Φ(x), Φ being the cumulative distribution of the standard normal."""
    x = np.ascontiguousarray(input.array)
    y, cumulative = np.empty_like(x), np.empty_like(x)
    for x_part, normal, y_part in blocks(x, cumulative, y):
        normal[...] = erf(x_part * x.dtype.type(ROOT_HALF))
        normal += 1
        normal *= 0.5
        np.multiply(x_part, normal, out=y_part)
    output = wrap(y)
    if node := GeluBackward0.record(output, input):
        node.save(input, cumulative)
    return output


class GeluBackward0(Node):
    """dx = dy · (Φ(x) + x · φ(x)),  φ(x) = exp(-x²/2) / √(2π)."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        x, cumulative = self.saved
        x, dy = np.ascontiguousarray(x), np.ascontiguousarray(dy)
        dx = np.empty_like(x)
        for x_part, normal, dy_part, out in blocks(x, cumulative, dy, dx):
            np.multiply(x_part, x_part, out=out)
            out *= -0.5
            np.exp(out, out=out)
            out *= x_part
            out *= 1 / math.sqrt(2 * math.pi)
            out += normal
            out *= dy_part
        return (dx,)


def gelu_tanh(input: Tensor) -> Tensor:
    """y = x · (1 + tanh u) / 2 with u = √(2/π) · (x + 0.044715 · x³)."""
    x = input.array
    t = x * x
    t *= CUBIC
    t += 1
    t *= x
    t *= ROOT_2_OVER_PI
    np.tanh(t, out=t)
    y = t + 1
    y *= x
    y *= 0.5
    output = wrap(y)
    if node := GeluTanhBackward0.record(output, input):
        node.save(input, t)
    return output


class GeluTanhBackward0(Node):
    """dx = dy · ((1 + t) + x · (1 - t²) · du/dx) / 2 with t = tanh u."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        x, t = self.saved
        dx = x * x
        dx *= 3 * CUBIC
        dx += 1
        dx *= x
        dx *= ROOT_2_OVER_PI
        dx *= 1 - t * t
        dx += t
        dx += 1
        dx *= 0.5
        dx *= dy
        return (dx,)

    def name(self) -> str:
        return "GeluBackward0"
