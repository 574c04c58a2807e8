"""Exponentials, logarithms and what is built on them. exp, log and log1p are in `elementwise.py`.

The gamma function and its kin are not NumPy's: they are taken element by element from `math`,
exact and slow (0.1 µs an element).
"""

from __future__ import annotations

import math

import numpy as np

from ddp.autograd.node import Array, Gradients, Node, Saves
from ddp.autograd.ops.arithmetic import mul
from ddp.autograd.ops.broadcast import (
    Operand,
    combine,
    operands,
    quietly,
    require_floats,
    unbroadcast,
)
from ddp.autograd.ops.elementwise import log
from ddp.autograd.ops.erf import erf as error_function
from ddp.autograd.ops.pointwise import ArrayFunction, OfInput, OfOutput, pointwise
from ddp.autograd.ops.select import clamp, where
from ddp.autograd.tensor import Tensor


def expm1(x: Tensor) -> Tensor:
    """y = eˣ - 1, exact near 0."""
    return pointwise(Expm1Backward0, np.expm1, x)


class Expm1Backward0(OfOutput):
    """dx = dy · (y + 1)."""

    __slots__ = ()

    def slope(self, y: Array) -> Array:
        return y + 1


def exp2(x: Tensor) -> Tensor:
    """y = 2ˣ."""
    return pointwise(Exp2Backward0, np.exp2, x)


class Exp2Backward0(OfOutput):
    """dx = dy · y · ln 2."""

    __slots__ = ()

    def slope(self, y: Array) -> Array:
        return y * math.log(2)


def log2(x: Tensor) -> Tensor:
    """y = log₂ x."""
    return pointwise(Log2Backward0, np.log2, x)


class Log2Backward0(OfInput):
    """dx = dy / (x · ln 2)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return 1 / (x * math.log(2))


def log10(x: Tensor) -> Tensor:
    """y = log₁₀ x."""
    return pointwise(Log10Backward0, np.log10, x)


class Log10Backward0(OfInput):
    """dx = dy / (x · ln 10)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return 1 / (x * math.log(10))


def _elementwise(f: object) -> ArrayFunction:
    """A function of floats as one of arrays: computed in float64, rounded to x's dtype."""
    ufunc = np.frompyfunc(f, 1, 1)  # type: ignore[call-overload]
    return lambda x: np.asarray(ufunc(x.astype(np.float64)), dtype=x.dtype)


def erf(x: Tensor) -> Tensor:
    """y = 2/√π · ∫ exp(-t²) dt from 0 to x."""
    return pointwise(ErfBackward0, error_function, x)


class ErfBackward0(OfInput):
    """dx = dy · 2/√π · exp(-x²)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return np.exp(-x * x) * (2 / math.sqrt(math.pi))


def erfc(x: Tensor) -> Tensor:
    """y = 1 - erf x, exact where that is small."""
    return pointwise(ErfcBackward0, _elementwise(math.erfc), x)


class ErfcBackward0(OfInput):
    """dx = -dy · 2/√π · exp(-x²)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return np.exp(-x * x) * (-2 / math.sqrt(math.pi))


def _inverse_erf(x: float) -> float:
    """Winitzki's closed form (3 digits), then Newton's steps, on erfc where x is near 1."""
    if not abs(x) < 1:
        return math.copysign(math.inf, x) if abs(x) == 1 else math.nan
    size, logarithm = abs(x), math.log1p(-x * x)
    half = 2 / (math.pi * 0.147) + logarithm / 2
    y = math.sqrt(math.sqrt(half * half - logarithm / 0.147) - half)
    for _ in range(3):
        excess = math.erf(y) - size if size < 0.5 else (1 - size) - math.erfc(y)
        y -= excess * math.sqrt(math.pi) / 2 * math.exp(y * y)
    return math.copysign(y, x)


def erfinv(x: Tensor) -> Tensor:
    """The y with erf y = x."""
    return pointwise(ErfinvBackward0, _elementwise(_inverse_erf), x)


class ErfinvBackward0(OfOutput):
    """dx = dy · √π/2 · exp(y²)."""

    __slots__ = ()

    def slope(self, y: Array) -> Array:
        return np.exp(y * y) * (math.sqrt(math.pi) / 2)


def _log_gamma(x: float) -> float:
    if math.isfinite(x) and x <= 0 and x == math.floor(x):
        return math.inf
    return math.lgamma(x)


def lgamma(x: Tensor) -> Tensor:
    """y = ln |Γ(x)|."""
    return pointwise(LgammaBackward0, _elementwise(_log_gamma), x)


class LgammaBackward0(OfInput):
    """dx = dy · ψ(x)."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return _elementwise(_digamma)(x)


_DIGAMMA_TAIL = (
    691 / 32760,
    1 / 132,
    1 / 240,
    1 / 252,
    1 / 120,
    1 / 12,
)  # |B₂ₙ| / 2n


def _digamma(x: float) -> float:
    """ψ(x) = Γ'(x) / Γ(x): shifted up to x > 10, then the asymptotic series."""
    if x == 0 or math.isinf(x):
        return math.nan if x == -math.inf else math.copysign(math.inf, x if x else -x)
    if x < 0:
        return math.nan if x == math.floor(x) else _digamma(1 - x) - math.pi / math.tan(math.pi * x)
    shift = 0.0
    while x < 10:
        shift -= 1 / x
        x += 1
    t = 1 / (x * x)
    tail = t * (
        1 / 12 - t * (1 / 120 - t * (1 / 252 - t * (1 / 240 - t * (1 / 132 - t * 691 / 32760))))
    )
    return shift + math.log(x) - 0.5 / x - tail


def logit(x: Tensor, eps: float | None = None) -> Tensor:
    """y = ln (x / (1 - x)), x held within [eps, 1 - eps] if `eps` is given."""
    inside = x if eps is None else clamp(x, eps, 1 - eps)
    return pointwise(LogitBackward0, lambda array: np.log(array / (1 - array)), inside)


class LogitBackward0(OfInput):
    """dx = dy / (x · (1 - x)); NaN outside of [0, 1]."""

    __slots__ = ()

    def slope(self, x: Array) -> Array:
        return np.where((x < 0) | (x > 1), x.dtype.type(np.nan), 1 / ((x + 0) * (1 - x)))


@quietly
def xlogy(a: Operand, b: Operand) -> Tensor:
    """y = a · ln b, and 0 where a is 0 (but NaN where b is NaN)."""
    a, b = operands(a, b)
    zero = (a == 0) & ~b.isnan()
    return where(zero, 0.0, mul(a, log(where(zero, 1.0, b))))


@quietly
def logaddexp(a: Tensor, b: Tensor) -> Tensor:
    """y = ln (eᵃ + eᵇ), without overflow; broadcast."""
    a, b = operands(a, b)
    require_floats("logaddexp_cpu", a)
    y = combine(np.logaddexp, a, b)
    if node := LogaddexpBackward0.record(y, a, b):
        node.save(a, b)
    return y


class LogaddexpBackward0(Node):
    """da = dy / (1 + exp(b - a)),  db = dy / (1 + exp(a - b))."""

    __slots__ = ()
    saves = Saves(self=0, other=1)

    def backward(self, dy: Array) -> Gradients:
        a, b = self.saved
        return (
            unbroadcast(dy / (1 + np.exp(b - a)), a.shape) if self.needs(0) else None,
            unbroadcast(dy / (1 + np.exp(a - b)), b.shape) if self.needs(1) else None,
        )
