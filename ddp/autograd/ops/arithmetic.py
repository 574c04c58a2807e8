"""Arithmetic, element by element with broadcasting: sums, products, quotients, powers."""

from __future__ import annotations

import numpy as np

from ddp.autograd.dtypes import to_floating
from ddp.autograd.node import CONSTANT, NO_EDGE, RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops.broadcast import (
    Operand,
    combine,
    operands,
    quietly,
    refuse_bools,
    to,
    unbroadcast,
)
from ddp.autograd.tensor import Tensor, wrap

Shape = tuple[int, ...]


class _Binary(Node):
    """A node of two broadcast operands, whose shapes it needs to sum back to."""

    __slots__ = ("a_shape", "b_shape")

    a_shape: Shape
    b_shape: Shape

    def back_to_a(self, da: Array) -> Array:
        """`da` in a's shape."""
        return da if da.shape == self.a_shape else unbroadcast(da, self.a_shape)

    def back_to_b(self, db: Array) -> Array:
        """`db` in b's shape."""
        return db if db.shape == self.b_shape else unbroadcast(db, self.b_shape)


def add(a: Operand, b: Operand, *, alpha: float = 1) -> Tensor:
    """y = a + alpha · b, broadcast."""
    a, b = operands(a, b)
    y = combine(np.add, a, b if alpha == 1 else _scaled(b, alpha))
    if node := AddBackward0.record_two(y, a, b):
        node.a_shape, node.b_shape, node.alpha = a.array.shape, b.array.shape, alpha
    return y


def _scaled(b: Tensor, alpha: float) -> Tensor:
    """alpha · b outside the graph, in b's dtype."""
    return mul(b.detach(), alpha)


class AddBackward0(_Binary):
    """da = dy,  db = dy · alpha."""

    __slots__ = ("alpha",)

    alpha: float

    def backward(self, dy: Array) -> Gradients:
        to_a, to_b = self.edges
        da = None if to_a is NO_EDGE else self.back_to_a(dy)
        if to_b is NO_EDGE:
            return da, None
        db = self.back_to_b(dy)
        return da, db if self.alpha == 1 else db * self.alpha


def sub(a: Operand, b: Operand, *, alpha: float = 1) -> Tensor:
    """y = a - alpha · b, broadcast."""
    _refuse_bools(a, b)
    a, b = operands(a, b)
    y = combine(np.subtract, a, b if alpha == 1 else _scaled(b, alpha))
    if node := SubBackward0.record_two(y, a, b):
        node.a_shape, node.b_shape, node.alpha = a.array.shape, b.array.shape, alpha
    return y


def _refuse_bools(a: Operand, b: Operand) -> None:
    for operand in (a, b):
        if type(operand) is Tensor and operand.array.dtype.kind == "b":
            raise RuntimeError(
                "Subtraction, the `-` operator, with a bool tensor is not supported. If you are "
                "trying to invert a mask, use the `~` or `logical_not()` operator instead."
            )


class SubBackward0(_Binary):
    """da = dy,  db = -dy · alpha."""

    __slots__ = ("alpha",)

    alpha: float

    def backward(self, dy: Array) -> Gradients:
        da = self.back_to_a(dy) if self.needs(0) else None
        if not self.needs(1):
            return da, None
        db = self.back_to_b(-dy)
        return da, db if self.alpha == 1 else db * self.alpha


def rsub(a: Operand, b: Operand) -> Tensor:
    """y = b - a, broadcast."""
    _refuse_bools(a, b)
    a, b = operands(a, b)
    y = combine(np.subtract, b, a)
    if node := RsubBackward1.record(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
    return y


class RsubBackward1(_Binary):
    """da = -dy,  db = dy."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (
            self.back_to_a(-dy) if self.needs(0) else None,
            self.back_to_b(dy) if self.needs(1) else None,
        )


def mul(a: Operand, b: Operand) -> Tensor:
    """y = a · b, broadcast."""
    a, b = operands(a, b)
    y = combine(np.multiply, a, b)
    if node := MulBackward0.record_two(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        to_a, to_b = node.edges
        node.save(b if to_a is not NO_EDGE else None, a if to_b is not NO_EDGE else None)
    return y


class MulBackward0(_Binary):
    """da = dy · b,  db = dy · a."""

    __slots__ = ()
    saves = Saves(other=1, self=0)

    def backward(self, dy: Array) -> Gradients:
        b, a = self.saved
        return (
            None if b is None else self.back_to_a(dy * b),
            None if a is None else self.back_to_b(dy * a),
        )


@quietly
def div(a: Operand, b: Operand) -> Tensor:
    """y = a / b, broadcast. Integers are divided as float32."""
    a, b = operands(a, b)
    dtype = to_floating(a.dtype)
    a, b = to(a, dtype), to(b, dtype)
    y = combine(np.true_divide, a, b)
    if node := DivBackward0.record_two(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        node.save(b, a if node.needs(1) else None)
    return y


class DivBackward0(_Binary):
    """da = dy / b,  db = -dy · a / b²."""

    __slots__ = ()
    saves = Saves(other=1, self=0)

    def backward(self, dy: Array) -> Gradients:
        b, a = self.saved
        da = dy / b
        return (
            self.back_to_a(da) if self.needs(0) else None,
            None if a is None else self.back_to_b(-da * (a / b)),
        )


def rdiv(x: Tensor, number: Operand) -> Tensor:
    """y = number / x, computed as PyTorch does: number · (1 / x)."""
    return mul(reciprocal(x), number)


def neg(x: Tensor) -> Tensor:
    """y = -x."""
    if x.array.dtype.kind == "b":
        raise RuntimeError("Negation, the `-` operator, on a bool tensor is not supported.")
    y = wrap(-x.array)
    NegBackward0.record(y, x)
    return y


class NegBackward0(Node):
    """dx = -dy."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (-dy,)


def abs(x: Tensor) -> Tensor:
    """y = |x|."""
    refuse_bools("abs_cpu", x)
    y = wrap(np.abs(x.array))
    if node := AbsBackward0.record(y, x):
        node.save(x)
    return y


class AbsBackward0(Node):
    """dx = dy · sign x; 0 at 0 and at NaN."""

    __slots__ = ()
    saves = Saves(self=0)

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy * np.subtract(x > 0, x < 0, dtype=np.int8),)


@quietly
def remainder(a: Operand, b: Operand) -> Tensor:
    """y = a - b · ⌊a / b⌋: the sign is b's, as Python's `%`."""
    a, b = operands(a, b)
    refuse_bools("remainder_cpu", a)
    refuse_division_by_zero(b)
    y = combine(_remainder, a, b)
    if node := RemainderBackward1.record(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        if node.needs(1):
            node.save(np.asarray(np.floor_divide(a.array, b.array)))
    return y


def _remainder(a: Array, b: Array) -> Array:
    """NumPy gives a remainder of 0 the sign of b, PyTorch that of a."""
    y = np.remainder(a, b)
    return np.where(y == 0, np.copysign(y, a), y) if y.dtype.kind == "f" else y


class RemainderBackward1(_Binary):
    """da = dy,  db = -dy · ⌊a / b⌋."""

    __slots__ = ()
    saves = Saves(quotient=CONSTANT)

    def backward(self, dy: Array) -> Gradients:
        da = self.back_to_a(dy) if self.needs(0) else None
        if not self.needs(1):
            return da, None
        (quotient,) = self.saved
        return da, self.back_to_b(-dy * quotient)


def rremainder(a: Tensor, b: Operand) -> Tensor:
    """y = b % a. For a number b it has no derivative."""
    if isinstance(b, Tensor):
        return remainder(b, a)
    y = remainder(b, a.detach())
    if node := NoDerivative.record(y, a):
        node.operation = "remainder"
    return y


def rfloor_divide(a: Operand, b: Operand) -> Tensor:
    """y = b // a."""
    return floor_divide(b, a)


@quietly
def floor_divide(a: Operand, b: Operand) -> Tensor:
    """y = ⌊a / b⌋, rounded down (7 // -2 is -4). It has no derivative."""
    a, b = operands(a, b)
    refuse_bools("div_floor_cpu", a)
    refuse_division_by_zero(b)
    y = combine(np.floor_divide, a, b)
    if node := NoDerivative.record(y, a, b):
        node.operation = "floor_divide"
    return y


def refuse_division_by_zero(divisor: Tensor) -> None:
    if divisor.array.dtype.kind in "iu" and not divisor.array.all():
        raise RuntimeError("ZeroDivisionError: integers divided by 0")


class NoDerivative(Node):
    """What PyTorch records but cannot differentiate: the walk back ends in an error."""

    __slots__ = ("operation",)

    operation: str

    def name(self) -> str:
        return "NotImplemented"

    def backward(self, dy: Array) -> Gradients:
        raise RuntimeError(f"derivative for aten::{self.operation} is not implemented")


@quietly
def pow(x: Operand, exponent: Operand) -> Tensor:
    """y = x ** exponent, either of them a number or a tensor."""
    if not isinstance(x, Tensor) and isinstance(exponent, Tensor):
        return _pow_of_number(x, exponent)
    a, b = operands(x, exponent)
    refuse_bools("pow", a)
    if isinstance(exponent, Tensor):
        return _pow_of_tensors(a, b)
    if b.array.dtype.kind in "iu" and exponent < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    number = b.array.item()
    y = wrap(_power(a.array, number))
    if node := PowBackward0.record(y, a):
        node.exponent = number
        node.save(a)
    return y


def _power(x: Array, n: float) -> Array:
    """xⁿ. `np.power` takes fifty times a product, so small powers are products, as in PyTorch."""
    if n == 2:
        return x * x
    if n == 3:
        return x * x * x
    if x.dtype.kind == "f":
        if n == 0.5:
            return np.sqrt(x)
        if n == -0.5:
            return np.reciprocal(np.sqrt(x))
        if n == -1:
            return np.reciprocal(x)
        if n == -2:
            return np.reciprocal(x * x)
    return np.power(x, x.dtype.type(n))


class PowBackward0(Node):
    """y = xⁿ;  dx = dy · n · xⁿ⁻¹."""

    __slots__ = ("exponent",)
    saves = Saves(self=0)

    exponent: float

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        n = self.exponent
        if n == 0:
            return (np.zeros_like(x),)
        slope = x if n == 2 else _power(x, n - 1)
        return (dy * (slope * n),)


def _pow_of_tensors(a: Tensor, b: Tensor) -> Tensor:
    if b.array.dtype.kind == "i" and b.array.size and b.array.min() < 0:
        return combine(_integer_power, a, b)
    y = combine(np.power, a, b)
    if node := PowBackward1.record(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        node.save(a, b, y if node.needs(1) else None)
    return y


def _integer_power(a: Array, b: Array) -> Array:
    """aᵇ where some b < 0: 1 / a^|b| rounded towards 0, which leaves ±1 of ±1 and 0 of the rest."""
    odd = np.where(np.abs(a) == 1, a, 0) * np.where(b % 2 == 0, a, 1)
    return np.where(b < 0, odd, np.power(a, np.maximum(b, 0)))


class PowBackward1(_Binary):
    """y = aᵇ;  da = dy · b · aᵇ⁻¹ (0 where b is 0),  db = dy · y · ln a (0 where a is 0 ≤ b)."""

    __slots__ = ()
    saves = Saves(self=0, exponent=1, result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        a, b, y = self.saved
        da = db = None
        if self.needs(0):
            slope = np.where(b == 0, b.dtype.type(0), b * np.power(a, b - 1))
            da = self.back_to_a(dy * slope)
        if self.needs(1):
            slope = np.where((a == 0) & (b >= 0), y.dtype.type(0), y * np.log(a))
            db = self.back_to_b(dy * slope)
        return da, db


def _pow_of_number(base: Operand, x: Tensor) -> Tensor:
    a, b = operands(base, x)
    refuse_bools("pow", a)
    if b.array.dtype.kind == "i" and b.array.size and b.array.min() < 0:
        return combine(_integer_power, a, b)
    y = combine(np.power, a, b)
    if node := PowBackward2.record(y, b):
        node.base = float(a.array)
        node.save(y)
    return y


class PowBackward2(Node):
    """y = cˣ;  dx = dy · y · ln c."""

    __slots__ = ("base",)
    saves = Saves(result=RESULT)

    base: float

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        if self.base == 0:  # the slope of 0ˣ is that of a wall for x < 0, else 0
            return (np.where(np.isinf(y), dy * -y, y.dtype.type(0)),)
        return (dy * (y * float(np.log(self.base))),)


def rpow(x: Operand, base: Operand) -> Tensor:
    """y = base ** x."""
    return pow(base, x)


def square(x: Tensor) -> Tensor:
    """y = x²."""
    return pow(x, 2)


@quietly
def reciprocal(x: Tensor) -> Tensor:
    """y = 1 / x."""
    x = to(x, to_floating(x.array.dtype))
    y = wrap(np.reciprocal(x.array))
    if node := ReciprocalBackward0.record(y, x):
        node.save(y)
    return y


class ReciprocalBackward0(Node):
    """dx = -dy · y²."""

    __slots__ = ()
    saves = Saves(result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        return (-dy * (y * y),)
