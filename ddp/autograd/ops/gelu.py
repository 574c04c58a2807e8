"""GELU, exact and by tanh (Hendrycks and Gimpel, arXiv:1606.08415).

The exact one is computed block by block: its many passes then run in the cache.
"""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.blocks import BLOCK, aligned_empty, blocks
from ddp.autograd.ops.erf import erf, horner
from ddp.autograd.tensor import Tensor, wrap
from ddp.kernels import kernel

ROOT_HALF = math.sqrt(0.5)
ROOT_2_OVER_PI = math.sqrt(2 / math.pi)
DENSITY_AT_ZERO = 1 / math.sqrt(2 * math.pi)
CUBIC = 0.044715

# Φ(x) = (1 + tanh(x · P(x²))) / 2 with P fitted so that Φ is within 4e-8; beyond ±6.5, Φ is 0 or
# 1. That is a third of the passes of a rational erf. In float32 Φ is within 1.1e-7, all told.
P = (
    0.797885032276872,
    0.0363326462373332,
    -3.2094447145824766e-05,
    -5.5519871848256586e-05,
    4.004390313030159e-06,
    -1.354654142792665e-07,
    1.8472696897e-09,
)


def gelu(input: Tensor) -> Tensor:
    """y = x · Φ(x), Φ being the cumulative distribution of the standard normal."""
    x = np.ascontiguousarray(input.array)
    y = aligned_empty(x.shape, x.dtype)
    output = wrap(y)
    node = GeluBackward0.record(output, input)
    slope = None if node is None else aligned_empty(x.shape, x.dtype)
    with np.errstate(all="ignore"):
        forward(x.reshape(-1), y.reshape(-1), None if slope is None else slope.reshape(-1))
    if node is not None:
        node.save(input, slope)
    return output


@kernel
def forward(x: Array, y: Array, slope: Array | None) -> None:
    """y = x · Φ(x) and, if wanted, its slope Φ(x) + x · φ(x); all (N,)."""
    scratch = aligned_empty((2, BLOCK), x.dtype)
    for x_part, y_part, slope_part in blocks(x, y, y if slope is None else slope):
        square, normal = scratch[:, : x_part.size]
        np.multiply(x_part, x_part, out=square)
        cumulative(x_part, square, out=normal)
        np.multiply(x_part, normal, out=y_part)
        if slope is not None:
            density_into(square)
            np.multiply(x_part, square, out=slope_part)
            slope_part += normal


def cumulative(x: Array, square: Array, out: Array) -> None:
    """Φ(x) of a block, given x². float64 is exact and slow: it serves gradient checks."""
    if x.dtype != np.float32:
        np.add(erf(x * ROOT_HALF), 1, out=out)
        out *= 0.5
        return
    horner(P, square, out)
    out *= x
    np.tanh(out, out=out)
    out += 1
    out *= 0.5


def density_into(square: Array) -> None:
    """φ(x) = exp(-x²/2) / √(2π) in the place of x²."""
    square *= -0.5
    np.exp(square, out=square)
    square *= DENSITY_AT_ZERO


class GeluBackward0(Node):
    """dx = dy · (Φ(x) + x · φ(x)), with the factor from the forward pass, which has x² and Φ."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        _, slope = self.saved
        return (np.multiply(dy, slope),)


def gelu_tanh(input: Tensor) -> Tensor:
    """y = x · (1 + tanh u) / 2 with u = √(2/π) · (x + 0.044715 · x³)."""
    x = np.ascontiguousarray(input.array)
    y, t = (aligned_empty(x.shape, x.dtype) for _ in range(2))
    with np.errstate(all="ignore"):
        forward_by_tanh(x.reshape(-1), y.reshape(-1), t.reshape(-1))
    output = wrap(y)
    if node := GeluTanhBackward0.record(output, input):
        node.save(input, t)
    return output


@kernel
def forward_by_tanh(x: Array, y: Array, t: Array) -> None:
    """y = x · (1 + t) / 2 and t = tanh u; all (N,)."""
    np.multiply(x, x, out=t)
    t *= CUBIC
    t += 1
    t *= x
    t *= ROOT_2_OVER_PI
    np.tanh(t, out=t)
    np.add(t, 1, out=y)
    y *= x
    y *= 0.5


@kernel
def backward_by_tanh(dy: Array, x: Array, t: Array, dx: Array) -> None:
    """The formula of the node below; all (N,)."""
    np.multiply(x, x, out=dx)
    dx *= 3 * CUBIC
    dx += 1
    dx *= x
    dx *= ROOT_2_OVER_PI
    dx *= 1 - t * t
    dx += t
    dx += 1
    dx *= 0.5
    dx *= dy


class GeluTanhBackward0(Node):
    """dx = dy · ((1 + t) + x · (1 - t²) · du/dx) / 2 with t = tanh u."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        x, t = self.saved
        dx = aligned_empty(t.shape, t.dtype)
        dy, x = (np.ascontiguousarray(array).reshape(-1) for array in (dy, x))
        backward_by_tanh(dy, x, t.reshape(-1), dx.reshape(-1))
        return (dx,)

    def name(self) -> str:
        return "GeluBackward0"
