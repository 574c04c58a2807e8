"""Functions of one real variable, element by element. Integers are taken as float32."""

from __future__ import annotations

import numpy as np

from ddp.autograd.dtypes import to_floating
from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops.broadcast import quietly, to
from ddp.autograd.tensor import Tensor, wrap


def floating(x: Tensor) -> Tensor:
    """`x`, integers as float32: what functions of real numbers are computed on."""
    return x if x.array.dtype.kind == "f" else to(x, to_floating(x.array.dtype))


@quietly
def exp(x: Tensor) -> Tensor:
    """y = eˣ."""
    x = floating(x)
    y = wrap(np.exp(x.array))
    if node := ExpBackward0.record(y, x):
        node.save(y)
    return y


class ExpBackward0(Node):
    """dx = dy · y."""

    __slots__ = ()
    saves = Saves(result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        return (dy * y,)


@quietly
def log(x: Tensor) -> Tensor:
    """y = ln x."""
    x = floating(x)
    y = wrap(np.log(x.array))
    if node := LogBackward0.record(y, x):
        node.save(x)
    return y


class LogBackward0(Node):
    """dx = dy / x."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy / x,)


@quietly
def sqrt(x: Tensor) -> Tensor:
    """y = √x."""
    x = floating(x)
    y = wrap(np.sqrt(x.array))
    if node := SqrtBackward0.record(y, x):
        node.save(y)
    return y


class SqrtBackward0(Node):
    """dx = dy / 2y; infinite at 0."""

    __slots__ = ()
    saves = Saves(result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        return (dy / (y + y),)


@quietly
def log1p(x: Tensor) -> Tensor:
    """y = ln (1 + x), exact near 0."""
    x = floating(x)
    y = wrap(np.log1p(x.array))
    if node := Log1PBackward0.record(y, x):
        node.save(x)
    return y


class Log1PBackward0(Node):
    """dx = dy / (1 + x)."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy / (x + 1),)


@quietly
def sin(x: Tensor) -> Tensor:
    """y = sin x."""
    x = floating(x)
    y = wrap(np.sin(x.array))
    if node := SinBackward0.record(y, x):
        node.save(x)
    return y


class SinBackward0(Node):
    """dx = dy · cos x."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy * np.cos(x),)


@quietly
def cos(x: Tensor) -> Tensor:
    """y = cos x."""
    x = floating(x)
    y = wrap(np.cos(x.array))
    if node := CosBackward0.record(y, x):
        node.save(x)
    return y


class CosBackward0(Node):
    """dx = -dy · sin x."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (-dy * np.sin(x),)


@quietly
def rsqrt(x: Tensor) -> Tensor:
    """y = 1 / √x."""
    x = floating(x)
    y = wrap(1 / np.sqrt(x.array))
    if node := RsqrtBackward0.record(y, x):
        node.save(y)
    return y


class RsqrtBackward0(Node):
    """dx = -dy · y³ / 2."""

    __slots__ = ()
    saves = Saves(result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        return (dy * (y * y * y * -0.5),)


def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1. Flat everywhere, so it records nothing."""
    return wrap(np.sign(x.array))


def floor(x: Tensor) -> Tensor:
    """⌊x⌋. Flat everywhere, so it records nothing."""
    return wrap(np.floor(x.array))


def isnan(x: Tensor) -> Tensor:
    """Where x is NaN."""
    return wrap(np.isnan(x.array))


def isinf(x: Tensor) -> Tensor:
    """Where x is infinite."""
    return wrap(np.isinf(x.array))


def isfinite(x: Tensor) -> Tensor:
    """Where x is neither infinite nor NaN."""
    return wrap(np.isfinite(x.array))
