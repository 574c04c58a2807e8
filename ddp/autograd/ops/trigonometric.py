"""Circular and hyperbolic functions and their inverses. Sine and cosine are in `elementwise.py`."""

from __future__ import annotations

import numpy as np

from ddp.autograd.dtypes import to_floating
from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops.broadcast import (
    Operand,
    combine,
    operands,
    quietly,
    require_floats,
    to,
    unbroadcast,
)
from ddp.autograd.ops.pointwise import OfInput, OfOutput, pointwise
from ddp.autograd.tensor import Tensor


def tan(x: Tensor) -> Tensor:
    """y = tan x."""
    return pointwise(TanBackward0, np.tan, x)


class TanBackward0(OfOutput):
    """dx = dy · (1 + y²)."""

    __slots__ = ()

    def slope(self, y: Array) -> Array:
        return 1 + y * y


def asin(x: Tensor) -> Tensor:
    """y = arcsin x."""
    return pointwise(AsinBackward0, np.arcsin, x)


class AsinBackward0(OfInput):
    """dx = dy / √(1 - x²)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return 1 / np.sqrt(1 - x * x)


def acos(x: Tensor) -> Tensor:
    """y = arccos x."""
    return pointwise(AcosBackward0, np.arccos, x)


class AcosBackward0(OfInput):
    """dx = -dy / √(1 - x²)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return -1 / np.sqrt(1 - x * x)


def atan(x: Tensor) -> Tensor:
    """y = arctan x."""
    return pointwise(AtanBackward0, np.arctan, x)


class AtanBackward0(OfInput):
    """dx = dy / (1 + x²)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return 1 / (1 + x * x)


def sinh(x: Tensor) -> Tensor:
    """y = sinh x."""
    return pointwise(SinhBackward0, np.sinh, x)


class SinhBackward0(OfInput):
    """dx = dy · cosh x."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return np.cosh(x)


def cosh(x: Tensor) -> Tensor:
    """y = cosh x."""
    return pointwise(CoshBackward0, np.cosh, x)


class CoshBackward0(OfInput):
    """dx = dy · sinh x."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return np.sinh(x)


def asinh(x: Tensor) -> Tensor:
    """y = arsinh x."""
    return pointwise(AsinhBackward0, np.arcsinh, x)


class AsinhBackward0(OfInput):
    """dx = dy / √(x² + 1)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return 1 / np.sqrt(x * x + 1)


def acosh(x: Tensor) -> Tensor:
    """y = arcosh x."""
    return pointwise(AcoshBackward0, np.arccosh, x)


class AcoshBackward0(OfInput):
    """dx = dy / √(x² - 1)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return 1 / np.sqrt(x * x - 1)


def atanh(x: Tensor) -> Tensor:
    """y = artanh x."""
    return pointwise(AtanhBackward0, np.arctanh, x)


class AtanhBackward0(OfInput):
    """dx = dy / (1 - x²)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return 1 / (1 - x * x)


def deg2rad(x: Tensor) -> Tensor:
    """Degrees as radians."""
    return x * (np.pi / 180)


def rad2deg(x: Tensor) -> Tensor:
    """Radians as degrees."""
    return x * (180 / np.pi)


@quietly
def atan2(a: Operand, b: Operand) -> Tensor:
    """y = the angle of the point (b, a), in (-π, π]; broadcast."""
    a, b = operands(a, b)
    dtype = to_floating(a.dtype)
    a, b = to(a, dtype), to(b, dtype)
    y = combine(np.arctan2, a, b)
    if node := Atan2Backward0.record(y, a, b):
        node.save(a, b)
    return y


class Atan2Backward0(Node):
    """da = dy · b / (a² + b²),  db = -dy · a / (a² + b²); 0 at the origin."""

    __slots__ = ()
    saves = Saves(self=0, other=1)

    def backward(self, dy: Array) -> Gradients:
        a, b = self.saved
        squares = a * a + b * b
        share = dy * np.where(squares == 0, squares, 1 / squares)
        return (
            unbroadcast(share * b, a.shape) if self.needs(0) else None,
            unbroadcast(share * -a, b.shape) if self.needs(1) else None,
        )


@quietly
def hypot(a: Tensor, b: Tensor) -> Tensor:
    """y = √(a² + b²), without overflow; broadcast."""
    a, b = operands(a, b)
    require_floats("hypot_cpu", a)
    y = combine(np.hypot, a, b)
    if node := HypotBackward0.record(y, a, b):
        node.save(a, b, y)
    return y


class HypotBackward0(Node):
    """da = dy · a / y,  db = dy · b / y."""

    __slots__ = ()
    saves = Saves(self=0, other=1, result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        a, b, y = self.saved
        share = dy / y
        return (
            unbroadcast(share * a, a.shape) if self.needs(0) else None,
            unbroadcast(share * b, b.shape) if self.needs(1) else None,
        )
