"""Activations with a bend: leaky, exponential, smooth and hard ones.

Masks are multiplied with, not selected by: that is twelve times as fast as `where`.
"""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients, Node, Saves
from ddp.autograd.ops.activation import logistic
from ddp.autograd.ops.broadcast import quietly
from ddp.autograd.tensor import Tensor, wrap


def leaky_relu(input: Tensor, slope: float) -> Tensor:
    """y = x where x > 0, else slope · x."""
    x = input.array
    y = np.minimum(x, 0)
    y *= slope
    y += np.maximum(x, 0)
    output = wrap(y)
    if node := LeakyReluBackward0.record(output, input):
        node.slope = slope
        node.save(input)
    return output


class LeakyReluBackward0(Node):
    """dx = dy where x > 0, else slope · dy."""

    __slots__ = ("slope",)
    saves = Saves(self=0)

    slope: float

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        positive = x > 0
        dx = dy * self.slope
        dx *= ~positive
        dx += dy * positive
        return (dx,)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """y = x where x > 0, else w · x. `weight` has one value per channel of (N, C, ...), or one."""
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    x, w = input.array, _along_channels(weight.array, input.ndim)
    output = wrap(np.maximum(x, 0) + w * np.minimum(x, 0))
    if node := PreluKernelBackward0.record(output, input, weight):
        node.save(input, weight)
    return output


class PreluKernelBackward0(Node):
    """dx = dy where x > 0, else w · dy;  dw = Σ dy · min(x, 0)."""

    __slots__ = ()
    saves = Saves(self=0, weight=1)

    def backward(self, dy: Array) -> Gradients:
        x, weight = self.saved
        dx = dw = None
        if self.needs(0):
            positive = x > 0
            dx = dy * _along_channels(weight, x.ndim) * ~positive + dy * positive
        if self.needs(1):
            slopes = dy * np.minimum(x, 0)
            axes = (0, *range(2, x.ndim)) if weight.size > 1 else None
            dw = slopes.sum(axes).reshape(weight.shape)
        return dx, dw


def _along_channels(weight: Array, ndim: int) -> Array:
    return weight.reshape(-1, *[1] * (ndim - 2)) if weight.size > 1 else weight.reshape(())


@quietly
def elu(input: Tensor, alpha: float, scale: float = 1.0, input_scale: float = 1.0) -> Tensor:
    """y = s · (x where x > 0, else a · (exp(k · x) - 1)): `scale` s, `alpha` a, `input_scale` k."""
    x = input.array
    y = np.minimum(x, 0)
    y *= input_scale
    np.expm1(y, out=y)
    y *= alpha
    y += np.maximum(x, 0)
    y *= scale
    output = wrap(y)
    if node := EluBackward0.record(output, input):
        node.alpha, node.scale, node.input_scale = alpha, scale, input_scale
        node.save(input)
    return output


class EluBackward0(Node):
    """dx = s · dy where x > 0, else s · a · k · exp(k · x) · dy."""

    __slots__ = ("alpha", "input_scale", "scale")
    saves = Saves(self=0)

    alpha: float
    scale: float
    input_scale: float

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        positive = x > 0
        slope = np.exp(np.minimum(x, 0) * self.input_scale)
        slope *= self.alpha * self.input_scale
        slope *= ~positive
        slope += positive
        slope *= self.scale
        return (slope * dy,)


def silu(input: Tensor) -> Tensor:
    """y = x · sigmoid(x)."""
    s = logistic(input.array)
    output = wrap(input.array * s)
    if node := SiluBackward0.record(output, input):
        node.save(input, s)
    return output


class SiluBackward0(Node):
    """dx = dy · sigmoid(x) · (1 + x · (1 - sigmoid(x)))."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        x, s = self.saved
        dx = 1 - s
        dx *= x
        dx += 1
        dx *= s
        dx *= dy
        return (dx,)


def softplus(input: Tensor, beta: float, threshold: float) -> Tensor:
    """y = log(1 + exp(β · x)) / β; x itself where β · x > threshold."""
    x = input.array
    z = x * x.dtype.type(beta)
    y = np.log1p(np.exp(-np.abs(z)))
    y += np.maximum(z, 0)
    y /= beta
    linear = z > threshold
    np.copyto(y, x, where=linear)
    output = wrap(y)
    if node := SoftplusBackward0.record(output, input):
        node.beta, node.threshold = beta, threshold
        node.save(input)
    return output


class SoftplusBackward0(Node):
    """dx = dy · sigmoid(β · x); dy where β · x > threshold."""

    __slots__ = ("beta", "threshold")
    saves = Saves(self=0)

    beta: float
    threshold: float

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        z = x * x.dtype.type(self.beta)
        slope = logistic(z)
        linear = z > self.threshold
        slope *= ~linear
        slope += linear
        return (slope * dy,)


def log_sigmoid(input: Tensor) -> Tensor:
    """y = log sigmoid(x) = min(x, 0) - log(1 + exp(-|x|))."""
    x = input.array
    output = wrap(np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))))
    if node := LogSigmoidBackward0.record(output, input):
        node.save(input)
    return output


class LogSigmoidBackward0(Node):
    """dx = dy · sigmoid(-x)."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (logistic(-x) * dy,)


def mish(input: Tensor) -> Tensor:
    """y = x · tanh(log(1 + exp(x)))."""
    x = input.array
    t = np.tanh(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))
    output = wrap(x * t)
    if node := MishBackward0.record(output, input):
        node.save(input, t)
    return output


class MishBackward0(Node):
    """dx = dy · (t + x · sigmoid(x) · (1 - t²)),  t = tanh(log(1 + exp(x)))."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        x, t = self.saved
        slope = 1 - t * t
        slope *= logistic(x)
        slope *= x
        slope += t
        slope *= dy
        return (slope,)


def hardtanh(input: Tensor, low: float, high: float) -> Tensor:
    """y = x held within [low, high]."""
    x = input.array
    output = wrap(np.clip(x, x.dtype.type(low), x.dtype.type(high)))
    if node := HardtanhBackward0.record(output, input):
        node.low, node.high = low, high
        node.save(input)
    return output


class HardtanhBackward0(Node):
    """dx = dy where low < x < high, else 0: the edges too."""

    __slots__ = ("high", "low")
    saves = Saves(self=0)

    low: float
    high: float

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy * ((x > self.low) & (x < self.high)),)


def hardsigmoid(input: Tensor) -> Tensor:
    """y = (x + 3) / 6 held within [0, 1]."""
    y = _ramp(input.array)
    y /= 6
    output = wrap(y)
    if node := HardsigmoidBackward0.record(output, input):
        node.save(input)
    return output


class HardsigmoidBackward0(Node):
    """dx = dy / 6 where -3 < x < 3, else 0."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy * (np.abs(x) < 3) * (1 / 6),)


def hardswish(input: Tensor) -> Tensor:
    """y = x · hardsigmoid(x)."""
    y = _ramp(input.array)
    y *= input.array
    y /= 6
    output = wrap(y)
    if node := HardswishBackward0.record(output, input):
        node.save(input)
    return output


class HardswishBackward0(Node):
    """dx = dy · (x / 3 + 1/2) where -3 < x < 3, dy from 3 on, 0 up to -3."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        slope = np.maximum(np.minimum(x, 3), -3)
        slope /= 3
        slope += 0.5
        slope *= np.abs(x) < 3
        slope += x >= 3
        slope *= dy
        return (slope,)


def _ramp(x: Array) -> Array:
    """x + 3 held within [0, 6]."""
    y = x + 3
    return np.clip(y, 0, 6, out=y)
