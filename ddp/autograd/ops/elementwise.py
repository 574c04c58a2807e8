"""Functions of one real variable, element by element. Integers are taken as float32."""

from __future__ import annotations

import numpy as np

from ddp.autograd.node import Array, Gradients
from ddp.autograd.ops.pointwise import OfInput, OfOutput, pointwise
from ddp.autograd.tensor import Tensor, wrap


def exp(x: Tensor) -> Tensor:
    """y = eˣ."""
    return pointwise(ExpBackward0, np.exp, x)


class ExpBackward0(OfOutput):
    """dx = dy · y."""

    __slots__ = ()

    def slope(self, y: Array) -> Array:
        return y


def log(x: Tensor) -> Tensor:
    """y = ln x."""
    return pointwise(LogBackward0, np.log, x)


class LogBackward0(OfInput):
    """dx = dy / x."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy / x,)


def log1p(x: Tensor) -> Tensor:
    """y = ln (1 + x), exact near 0."""
    return pointwise(Log1PBackward0, np.log1p, x)


class Log1PBackward0(OfInput):
    """dx = dy / (1 + x)."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy / (x + 1),)


def sqrt(x: Tensor) -> Tensor:
    """y = √x."""
    return pointwise(SqrtBackward0, np.sqrt, x)


class SqrtBackward0(OfOutput):
    """dx = dy / 2y; infinite at 0."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        return (dy / (y + y),)


def rsqrt(x: Tensor) -> Tensor:
    """y = 1 / √x."""
    return pointwise(RsqrtBackward0, lambda array: 1 / np.sqrt(array), x)


class RsqrtBackward0(OfOutput):
    """dx = -dy · y³ / 2."""

    __slots__ = ()

    def slope(self, y: Array) -> Array:
        return y * y * y * -0.5


def sin(x: Tensor) -> Tensor:
    """y = sin x."""
    return pointwise(SinBackward0, np.sin, x)


class SinBackward0(OfInput):
    """dx = dy · cos x."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return np.cos(x)


def cos(x: Tensor) -> Tensor:
    """y = cos x."""
    return pointwise(CosBackward0, np.cos, x)


class CosBackward0(OfInput):
    """dx = -dy · sin x."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return -np.sin(x)


def isnan(x: Tensor) -> Tensor:
    """Where x is NaN."""
    return wrap(np.isnan(x.array))


def isinf(x: Tensor) -> Tensor:
    """Where x is infinite."""
    return wrap(np.isinf(x.array))


def isfinite(x: Tensor) -> Tensor:
    """Where x is neither infinite nor NaN."""
    return wrap(np.isfinite(x.array))
