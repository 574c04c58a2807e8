"""Element by element: arithmetic with broadcasting, powers, exponentials, extrema, selection."""

from __future__ import annotations

import numpy as np

from ddp.autograd.dtypes import to_floating
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.broadcast import Operand, operands, to, unbroadcast
from ddp.autograd.tensor import Tensor, wrap

Shape = tuple[int, ...]


class _Binary(Node):
    """A node of two broadcast operands, whose shapes it needs to sum back to."""

    __slots__ = ("a_shape", "b_shape")

    a_shape: Shape
    b_shape: Shape

    def keep_shapes(self, a: Tensor, b: Tensor) -> None:
        self.a_shape = a.array.shape
        self.b_shape = b.array.shape


def add(a: Operand, b: Operand, *, alpha: float = 1) -> Tensor:
    """y = a + alpha · b, broadcast."""
    if alpha != 1:
        b = mul(b, alpha)
    a, b = operands(a, b)
    y = wrap(a.array + b.array)
    if node := AddBackward0.record(y, a, b):
        node.keep_shapes(a, b)
    return y


class AddBackward0(_Binary):
    """da = dy,  db = dy."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (
            unbroadcast(dy, self.a_shape) if self.needs(0) else None,
            unbroadcast(dy, self.b_shape) if self.needs(1) else None,
        )


def sub(a: Operand, b: Operand, *, alpha: float = 1) -> Tensor:
    """y = a - alpha · b, broadcast."""
    if alpha != 1:
        b = mul(b, alpha)
    a, b = operands(a, b)
    y = wrap(a.array - b.array)
    if node := SubBackward0.record(y, a, b):
        node.keep_shapes(a, b)
    return y


class SubBackward0(_Binary):
    """da = dy,  db = -dy."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (
            unbroadcast(dy, self.a_shape) if self.needs(0) else None,
            unbroadcast(-dy, self.b_shape) if self.needs(1) else None,
        )


def rsub(a: Operand, b: Operand) -> Tensor:
    """y = b - a, broadcast."""
    a, b = operands(a, b)
    y = wrap(b.array - a.array)
    if node := RsubBackward1.record(y, a, b):
        node.keep_shapes(a, b)
    return y


class RsubBackward1(_Binary):
    """da = -dy,  db = dy."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (
            unbroadcast(-dy, self.a_shape) if self.needs(0) else None,
            unbroadcast(dy, self.b_shape) if self.needs(1) else None,
        )


def mul(a: Operand, b: Operand) -> Tensor:
    """y = a · b, broadcast."""
    a, b = operands(a, b)
    y = wrap(a.array * b.array)
    if node := MulBackward0.record(y, a, b):
        node.keep_shapes(a, b)
        node.save(b if node.needs(0) else None, a if node.needs(1) else None)
    return y


class MulBackward0(_Binary):
    """da = dy · b,  db = dy · a."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        b, a = self.saved
        return (
            None if b is None else unbroadcast(dy * b, self.a_shape),
            None if a is None else unbroadcast(dy * a, self.b_shape),
        )


def div(a: Operand, b: Operand) -> Tensor:
    """y = a / b, broadcast. Integers are divided as float32."""
    a, b = operands(a, b)
    dtype = to_floating(a.dtype)
    a, b = to(a, dtype), to(b, dtype)
    y = wrap(a.array / b.array)
    if node := DivBackward0.record(y, a, b):
        node.keep_shapes(a, b)
        node.save(b, a if node.needs(1) else None)
    return y


class DivBackward0(_Binary):
    """da = dy / b,  db = -dy · a / b²."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        b, a = self.saved
        da = dy / b
        return (
            unbroadcast(da, self.a_shape) if self.needs(0) else None,
            None if a is None else unbroadcast(-da * (a / b), self.b_shape),
        )


def rdiv(a: Operand, b: Operand) -> Tensor:
    """y = b / a."""
    return div(b, a)


def neg(x: Tensor) -> Tensor:
    """y = -x."""
    y = wrap(-x.array)
    NegBackward0.record(y, x)
    return y


class NegBackward0(Node):
    """dx = -dy."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (-dy,)


def floating(x: Tensor) -> Tensor:
    """`x`, integers as float32: what functions of real numbers are computed on."""
    return x if x.array.dtype.kind == "f" else to(x, to_floating(x.array.dtype))


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

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        return (dy * y,)


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

    def backward(self, dy: Array) -> Gradients:
        (x,) = self.saved
        return (dy / x,)


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

    def backward(self, dy: Array) -> Gradients:
        (y,) = self.saved
        return (dy / (y + y),)
