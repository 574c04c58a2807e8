"""To whole numbers, and what is left over: round, ceil, trunc, frac, fmod; nan_to_num."""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import CONSTANT, Array, Gradients, Node, Saves
from ddp.autograd.ops.broadcast import (
    Operand,
    combine,
    operands,
    quietly,
    refuse_bools,
    require_floats,
    unbroadcast,
)
from ddp.autograd.ops.pointwise import Flat, flat
from ddp.autograd.tensor import Tensor, wrap


def round(x: Tensor, *, decimals: int = 0) -> Tensor:
    """The nearest whole number (or multiple of 10⁻ᵈᵉᶜⁱᵐᵃˡˢ), halves to even."""
    refuse_bools("round_vml_cpu", x)
    return flat(RoundBackward0, lambda array: np.round(array, decimals), x)


class RoundBackward0(Flat):
    """Nearest."""

    __slots__ = ()


def ceil(x: Tensor) -> Tensor:
    """⌈x⌉."""
    refuse_bools("ceil_vml_cpu", x)
    return flat(CeilBackward0, np.ceil, x)


class CeilBackward0(Flat):
    """Up."""

    __slots__ = ()


def floor(x: Tensor) -> Tensor:
    """⌊x⌋."""
    refuse_bools("floor_vml_cpu", x)
    return flat(FloorBackward0, np.floor, x)


class FloorBackward0(Flat):
    """Down."""

    __slots__ = ()


def trunc(x: Tensor) -> Tensor:
    """The whole part, towards 0."""
    refuse_bools("trunc_vml_cpu", x)
    return flat(TruncBackward0, np.trunc, x)


class TruncBackward0(Flat):
    """Towards 0."""

    __slots__ = ()


def sign(x: Tensor) -> Tensor:
    """-1, 0 or 1; 0 for NaN."""
    if x.array.dtype.kind != "f":
        return wrap(x.array.copy() if x.array.dtype.kind == "b" else np.sign(x.array))
    return flat(SignBackward0, lambda array: np.sign(np.nan_to_num(array)), x)


class SignBackward0(Flat):
    """The sign."""

    __slots__ = ()


def signbit(x: Tensor) -> Tensor:
    """Where the sign is minus, -0.0 included."""
    return wrap(np.signbit(x.array) if x.array.dtype.kind == "f" else np.asarray(x.array < 0))


@quietly
def frac(x: Tensor) -> Tensor:
    """y = x - trunc x, with x's sign."""
    require_floats("frac_cpu", x)
    y = wrap(x.array - np.trunc(x.array))
    FracBackward0.record(y, x)
    return y


class FracBackward0(Node):
    """dx = dy."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (dy,)


@quietly
def fmod(a: Operand, b: Operand) -> Tensor:
    """y = a - b · trunc(a / b): the sign is a's, as C's `fmod`."""
    a, b = operands(a, b)
    refuse_bools("fmod_cpu", a)
    if a.array.dtype.kind != "f" and not b.array.all():
        raise RuntimeError("ZeroDivisionError: fmod of integers by 0")
    y = combine(np.fmod, a, b)
    if node := FmodBackward1.record(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        node.save(np.asarray(np.trunc(a.array / b.array)) if node.needs(1) else None)
    return y


class FmodBackward1(Node):
    """da = dy,  db = -dy · trunc(a / b)."""

    __slots__ = ("a_shape", "b_shape")
    saves = Saves(quotient=CONSTANT)

    a_shape: tuple[int, ...]
    b_shape: tuple[int, ...]

    def backward(self, dy: Array) -> Gradients:
        (quotient,) = self.saved
        return (
            unbroadcast(dy, self.a_shape) if self.needs(0) else None,
            None if quotient is None else unbroadcast(-dy * quotient, self.b_shape),
        )


def nan_to_num(
    x: Tensor, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Tensor:
    """x with NaN, ∞ and -∞ replaced: by 0, the largest and the smallest finite value by default."""
    if x.array.dtype.kind != "f":
        return wrap(x.array.copy())
    nan = 0.0 if nan is None else nan
    y = wrap(np.nan_to_num(x.array, nan=nan, posinf=posinf, neginf=neginf))
    if node := NanToNumBackward0.record(y, x):
        node.save(np.asarray(np.isfinite(x.array)))
    return y


class NanToNumBackward0(Node):
    """dx = dy where x was finite, else 0."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        (finite,) = self.saved
        return (dy * finite,)


def isposinf(x: Tensor) -> Tensor:
    """Where x is +∞."""
    return wrap(np.asarray(x.array == math.inf))


def isneginf(x: Tensor) -> Tensor:
    """Where x is -∞."""
    return wrap(np.asarray(x.array == -math.inf))
