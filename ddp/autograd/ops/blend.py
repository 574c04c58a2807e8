"""Element-wise functions of two and three tensors: fmin, fmax, lerp, addcmul, addcdiv and others.

Most are made of other operations and have their gradients from them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.dtypes import to_floating
from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops import arithmetic, rounding
from ddp.autograd.ops.arithmetic import refuse_division_by_zero
from ddp.autograd.ops.broadcast import (
    Operand,
    combine,
    operands,
    refuse_bools,
    require_floats,
    require_tensors,
    to,
    unbroadcast,
)
from ddp.autograd.ops.scatter import nonzero
from ddp.autograd.ops.select import where as choose
from ddp.autograd.tensor import Tensor


def fmax(a: Tensor, b: Tensor) -> Tensor:
    """y = the larger of a and b; of a number and NaN, the number."""
    a, b = operands(a, b)
    y = combine(np.fmax, a, b)
    if node := FmaxBackward0.record(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        node.save(np.asarray((a.array >= b.array) | np.isnan(b.array)))
    return y


class FmaxBackward0(Node):
    """dy goes to the one that was taken, to a of equals."""

    __slots__ = ("a_shape", "b_shape")

    a_shape: tuple[int, ...]
    b_shape: tuple[int, ...]

    def backward(self, dy: Array) -> Gradients:
        (took_a,) = self.saved
        return (
            unbroadcast(dy * took_a, self.a_shape) if self.needs(0) else None,
            unbroadcast(dy * ~took_a, self.b_shape) if self.needs(1) else None,
        )


def fmin(a: Tensor, b: Tensor) -> Tensor:
    """y = the smaller of a and b; of a number and NaN, the number."""
    a, b = operands(a, b)
    y = combine(np.fmin, a, b)
    if node := FminBackward0.record(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        node.save(np.asarray((a.array <= b.array) | np.isnan(b.array)))
    return y


class FminBackward0(FmaxBackward0):
    """The same for the smaller."""

    __slots__ = ()


def lerp(start: Tensor, end: Tensor, weight: Operand) -> Tensor:
    """y = start + weight · (end - start), written from the nearer end, so that both are met."""
    if start.dtype != end.dtype:
        raise RuntimeError(f"expected dtype {start.dtype} for `end` but got dtype {end.dtype}")
    require_floats("lerp_kernel_scalar", start)
    step = end - start
    if isinstance(weight, (bool, int, float)):
        if abs(weight) < 0.5:
            return arithmetic.add(start, step, alpha=weight)
        return arithmetic.sub(end, step, alpha=1 - weight)
    near = operands(weight, 0)[0].detach().abs() < 0.5
    return choose(near, start + weight * step, end - step * (1 - weight))


def addcmul(x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    """y = x + value · a · b."""
    if not (x.is_floating_point() or a.is_floating_point() or b.is_floating_point()):
        refuse_bools("addcmul_cpu_out", x)
        value = int(value)
    return x + (a * b if value == 1 else value * a * b)


def addcdiv(x: Tensor, a: Tensor, b: Tensor, *, value: float = 1) -> Tensor:
    """y = x + value · a / b, floating tensors only."""
    if a.array.dtype.kind != "f" and b.array.dtype.kind != "f":
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported: use x + value * trunc(a / b)"
        )
    return x + (a / b if value == 1 else value * a / b)


def div(a: Operand, b: Operand, *, rounding_mode: str | None = None) -> Tensor:
    """y = a / b; rounded down with "floor", towards 0 with "trunc", in the operands' dtype."""
    if rounding_mode is None:
        return arithmetic.div(a, b)
    if rounding_mode == "floor":
        a, b = operands(a, b)
        y = arithmetic.floor_divide(a.detach(), b.detach())
        if node := DivBackward1.record(y, a, b):
            node.shapes = a.array.shape, b.array.shape
        return y
    if rounding_mode != "trunc":
        raise RuntimeError(
            "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
            f"'{rounding_mode}'"
        )
    a, b = operands(a, b)
    refuse_bools("div_trunc_cpu", a)
    refuse_division_by_zero(b)
    return to(rounding.trunc(arithmetic.div(a, b)), a.dtype)


class DivBackward1(Node):
    """da = db = 0: steps are flat."""

    __slots__ = ("shapes",)

    shapes: tuple[tuple[int, ...], tuple[int, ...]]

    def backward(self, dy: Array) -> Gradients:
        a_shape, b_shape = self.shapes
        return np.zeros(a_shape, dy.dtype), np.zeros(b_shape, dy.dtype)


def true_divide(a: Operand, b: Operand) -> Tensor:
    """y = a / b."""
    return arithmetic.div(a, b)


def rsub(a: Tensor, b: Operand, *, alpha: float = 1) -> Tensor:
    """y = b - alpha · a."""
    require_tensors("rsub", input=a)
    return arithmetic.rsub(a if alpha == 1 else a * alpha, b)


def float_power(x: Operand, exponent: Operand) -> Tensor:
    """y = x ** exponent in float64."""
    return arithmetic.pow(_double(x), _double(exponent))


def _double(x: Operand) -> Any:
    return to(x, np.float64) if isinstance(x, Tensor) else float(x)


def positive(x: Tensor) -> Tensor:
    """+x: x itself."""
    if x.array.dtype.kind == "b":
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return x


def copysign(a: Tensor, b: Operand) -> Tensor:
    """|a| with b's sign."""
    a, b = operands(a, b)
    dtype = to_floating(a.dtype)
    a, b = to(a, dtype), to(b, dtype)
    y = combine(np.copysign, a, b)
    if node := CopysignBackward0.record(y, a, b):
        node.b_shape = b.array.shape
        node.save(a, y)
    return y


class CopysignBackward0(Node):
    """da = dy, with the sign turned where a's was; 0 where a is 0.  db = 0."""

    __slots__ = ("b_shape",)
    saves = Saves(self=0, result=RESULT)

    b_shape: tuple[int, ...]

    def backward(self, dy: Array) -> Gradients:
        a, y = self.saved
        turned = np.sign(a) * np.sign(y)
        return (
            unbroadcast(dy * turned, a.shape) if self.needs(0) else None,
            np.zeros(self.b_shape, dy.dtype) if self.needs(1) else None,
        )


def heaviside(x: Tensor, values: Tensor) -> Tensor:
    """0 where x < 0, 1 where x > 0, `values` where x is 0."""
    require_tensors("heaviside", input=x, values=values)
    if x.dtype != values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    return to(combine(np.heaviside, x, values), x.dtype)


def where(condition: Tensor, *choices: Operand) -> Any:
    """y = the first choice where the condition holds, else the second; without choices, nonzero."""
    if not choices:
        return nonzero(condition, as_tuple=True)
    if condition.array.dtype.kind != "b":
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype}"
        )
    return choose(condition, *choices)


def where_method(x: Tensor, condition: Tensor, other: Operand) -> Tensor:
    """`x.where(condition, other)`: x where the condition holds, else other."""
    return choose(condition, x, other)
