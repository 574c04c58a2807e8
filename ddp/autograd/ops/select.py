"""Choosing between values: comparisons, masks, extrema of two tensors, clamping."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from ddp.autograd.node import CONSTANT, Array, Gradients, Node, Saves
from ddp.autograd.ops.broadcast import (
    Operand,
    combine,
    number_in,
    operands,
    refuse_bools,
    to,
    unbroadcast,
)
from ddp.autograd.tensor import Tensor, wrap

Shape = tuple[int, ...]


def _compare(ufunc: Any, a: Tensor, b: Any) -> Any:
    if isinstance(b, Tensor):
        return combine(ufunc, *operands(a, b))
    if isinstance(b, (bool, int, float, np.ndarray, np.generic)):
        if a.array.dtype.kind == "u" and isinstance(b, int):
            b = number_in(b, a.array.dtype)
        return wrap(ufunc(a.array, b))
    return NotImplemented


def eq(a: Tensor, b: Any) -> Any:
    """Where a = b, a bool tensor."""
    return _compare(np.equal, a, b)


def ne(a: Tensor, b: Any) -> Any:
    """Where a ≠ b, a bool tensor."""
    return _compare(np.not_equal, a, b)


def lt(a: Tensor, b: Any) -> Any:
    """Where a < b, a bool tensor."""
    return _compare(np.less, a, b)


def le(a: Tensor, b: Any) -> Any:
    """Where a ≤ b, a bool tensor."""
    return _compare(np.less_equal, a, b)


def gt(a: Tensor, b: Any) -> Any:
    """Where a > b, a bool tensor."""
    return _compare(np.greater, a, b)


def ge(a: Tensor, b: Any) -> Any:
    """Where a ≥ b, a bool tensor."""
    return _compare(np.greater_equal, a, b)


def bitwise_not(a: Tensor) -> Tensor:
    """~a for bools and integers."""
    return wrap(np.invert(a.array))


def where(condition: Tensor, a: Operand, b: Operand) -> Tensor:
    """y = a where the condition holds, else b; broadcast."""
    a, b = operands(a, b)
    y = combine(lambda a, b: np.where(condition.array, a, b), a, b)
    if node := WhereBackward0.record(y, a, b):
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        node.save(condition)
    return y


class WhereBackward0(Node):
    """da = dy where the condition holds, else 0;  db the other way round.

    Selected, not multiplied by the mask: 0 · ∞ would make NaN of an infinite dy.
    """

    __slots__ = ("a_shape", "b_shape")
    saves = Saves(condition=CONSTANT)

    a_shape: Shape
    b_shape: Shape

    def backward(self, dy: Array) -> Gradients:
        (condition,) = self.saved
        zero = dy.dtype.type(0)
        return (
            unbroadcast(np.where(condition, dy, zero), self.a_shape) if self.needs(0) else None,
            unbroadcast(np.where(condition, zero, dy), self.b_shape) if self.needs(1) else None,
        )


def masked_fill(x: Tensor, mask: Tensor, value: Operand) -> Tensor:
    """y = value, a number or a 0-d tensor, where the mask holds, else x."""
    if isinstance(value, Tensor) and value.array.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.array.ndim} dimension(s)."
        )
    filling = value if isinstance(value, Tensor) else wrap(number_in(value, x.array.dtype))
    y = wrap(np.where(mask.array, filling.array.astype(x.array.dtype), x.array))
    node_class = MaskedFillBackward1 if isinstance(value, Tensor) else MaskedFillBackward0
    if node := node_class.record(y, x, to(filling, x.array.dtype)):
        node.a_shape, node.b_shape = filling.array.shape, x.array.shape
        node.save(mask)
    return y


class MaskedFillBackward0(WhereBackward0):
    """dx = dy where the mask does not hold;  dvalue = Σ dy where it does."""

    __slots__ = ()
    saves = Saves(mask=CONSTANT)

    def backward(self, dy: Array) -> Gradients:
        (mask,) = self.saved
        zero = dy.dtype.type(0)
        return (
            unbroadcast(np.where(mask, zero, dy), self.b_shape) if self.needs(0) else None,
            unbroadcast(np.where(mask, dy, zero), self.a_shape) if self.needs(1) else None,
        )


class MaskedFillBackward1(MaskedFillBackward0):
    """The same where the value was a tensor."""

    __slots__ = ()


def maximum(a: Operand, b: Operand) -> Tensor:
    """y = the larger of a and b, NaN if either is."""
    a, b = operands(a, b)
    y = combine(np.maximum, a, b)
    if node := MaximumBackward0.record(y, a, b):
        node.save(a, b)
    return y


def minimum(a: Operand, b: Operand) -> Tensor:
    """y = the smaller of a and b, NaN if either is."""
    a, b = operands(a, b)
    y = combine(np.minimum, a, b)
    if node := MinimumBackward0.record(y, a, b):
        node.save(a, b)
    return y


class MaximumBackward0(Node):
    """dy goes to the one that was taken; equals share it by halves, with NaN both get it."""

    __slots__ = ()
    saves = Saves(self=0, other=1)
    loses: ClassVar[Any] = np.less  # to the other

    def backward(self, dy: Array) -> Gradients:
        a, b = self.saved
        return (
            _to_the_taken(dy, a, b, self.loses(a, b)) if self.needs(0) else None,
            _to_the_taken(dy, b, a, self.loses(b, a)) if self.needs(1) else None,
        )


class MinimumBackward0(MaximumBackward0):
    """The same for the smaller."""

    __slots__ = ()
    saves = Saves(self=0, other=1)
    loses = np.greater


def _to_the_taken(dy: Array, x: Array, other: Array, is_left: Array) -> Array:
    """x's part of dy, where the other was taken if `is_left`."""
    share = np.logical_not(is_left) - np.equal(x, other) * dy.dtype.type(0.5)
    return unbroadcast(dy * share, x.shape)


def clamp(x: Tensor, min: Operand | None = None, max: Operand | None = None) -> Tensor:
    """y = x held within [min, max]; either bound may be left out."""
    if min is None and max is None:
        raise RuntimeError("clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        return _clamp_by_tensors(x, min, max)
    for bound in (min, max):
        if bound is not None:
            x = operands(x, bound)[0]
    if x.array.dtype.kind == "u":  # numbers below 0 wrap round, as in C
        min, max = (None if n is None else operands(n, x)[0].array.item() for n in (min, max))
    y = wrap(np.clip(x.array, min, max))
    if node := ClampBackward1.record(y, x):
        inside = np.ones(x.shape, np.bool_) if min is None else x.array >= min
        node.save(np.asarray(inside if max is None else inside & (x.array <= max)))
    return y


def _clamp_by_tensors(x: Tensor, min: Operand | None, max: Operand | None) -> Tensor:
    """y = x held within bounds that vary, broadcast; where they cross, y = max."""
    for bound in (min, max):
        if bound is not None:
            x = operands(x, bound)[0]
    refuse_bools("clamp_cpu", x)
    limits = np.iinfo(x.dtype) if x.dtype.kind in "iu" else None
    lowest, highest = (limits.min, limits.max) if limits else (-np.inf, np.inf)
    low = operands(lowest if min is None else min, x)[0]
    high = operands(highest if max is None else max, x)[0]
    y = combine(np.minimum, combine(np.maximum, x, low), high)
    if node := ClampBackward0.record(y, x, low, high):
        node.shapes = x.array.shape, low.array.shape, high.array.shape
        below, above = x.array < low.array, x.array > high.array
        crossed = high.array < low.array
        node.save(*map(np.asarray, (~(below | above), below & ~crossed, above | crossed)))
    return y


class ClampBackward0(Node):
    """dx = dy where min ≤ x ≤ max,  dmin = dy where x < min < max,  dmax = dy where y = max < x."""

    __slots__ = ("shapes",)

    shapes: tuple[Shape, Shape, Shape]

    def backward(self, dy: Array) -> Gradients:
        pairs = enumerate(zip(self.saved, self.shapes, strict=True))
        return tuple(
            [
                unbroadcast(dy * taken, shape) if self.needs(i) else None
                for i, (taken, shape) in pairs
            ]
        )


class ClampBackward1(Node):
    """dx = dy where min ≤ x ≤ max, else 0."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        (inside,) = self.saved
        return (dy * inside,)


def clamp_min(x: Tensor, min: Operand) -> Tensor:
    """y = x, at least `min`."""
    a, b = operands(x, min)
    y, kept = combine(np.maximum, a, b), a.array >= b.array
    if not isinstance(min, Tensor):
        return _bounded(ClampMinBackward0.record(y, a), y, a, b, kept)
    return _bounded(ClampMinBackward1.record(y, a, b), y, a, b, kept)


def clamp_max(x: Tensor, max: Operand) -> Tensor:
    """y = x, at most `max`."""
    a, b = operands(x, max)
    y, kept = combine(np.minimum, a, b), a.array <= b.array
    if not isinstance(max, Tensor):
        return _bounded(ClampMaxBackward0.record(y, a), y, a, b, kept)
    return _bounded(ClampMaxBackward1.record(y, a, b), y, a, b, kept)


def _bounded(node: ClampMinBackward0 | None, y: Tensor, a: Tensor, b: Tensor, kept: Any) -> Tensor:
    if node:
        node.a_shape, node.b_shape = a.array.shape, b.array.shape
        node.save(np.asarray(kept))
    return y


class ClampMinBackward0(Node):
    """dx = dy where x is within the bound, else 0."""

    __slots__ = ("a_shape", "b_shape")
    saves = Saves(kept=CONSTANT)

    a_shape: Shape
    b_shape: Shape

    def backward(self, dy: Array) -> Gradients:
        (kept,) = self.saved
        return (unbroadcast(dy * kept, self.a_shape),)


class ClampMinBackward1(ClampMinBackward0):
    """The same for a tensor of bounds;  dbound = dy where x is beyond the bound."""

    __slots__ = ()
    saves = Saves(kept=CONSTANT)

    def backward(self, dy: Array) -> Gradients:
        (kept,) = self.saved
        return (
            unbroadcast(dy * kept, self.a_shape) if self.needs(0) else None,
            unbroadcast(dy * np.logical_not(kept), self.b_shape) if self.needs(1) else None,
        )


class ClampMaxBackward0(ClampMinBackward0):
    """The same for an upper bound."""

    __slots__ = ()
    saves = Saves(kept=CONSTANT)


class ClampMaxBackward1(ClampMinBackward1):
    """The same for a tensor of upper bounds."""

    __slots__ = ()
    saves = Saves(kept=CONSTANT)


def tril(x: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangles of x's matrices, zero above `diagonal`."""
    return _triangle(TrilBackward0, x, diagonal)


def triu(x: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangles of x's matrices, zero below `diagonal`."""
    return _triangle(TriuBackward0, x, diagonal)


def _triangle(node_class: type[TrilBackward0], x: Tensor, diagonal: int) -> Tensor:
    if x.array.ndim < 2:
        name = node_class.part.__name__
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
    y = wrap(node_class.part(x.array, diagonal))
    if node := node_class.record(y, x):
        node.diagonal = diagonal
    return y


class TrilBackward0(Node):
    """dx = the same triangles of dy."""

    __slots__ = ("diagonal",)
    part: ClassVar[Any] = staticmethod(np.tril)

    diagonal: int

    def backward(self, dy: Array) -> Gradients:
        return (self.part(dy, self.diagonal),)


class TriuBackward0(TrilBackward0):
    """The same for the upper ones."""

    __slots__ = ()
    part = staticmethod(np.triu)
