"""Truth: logical and bitwise operations, nearness, membership, counts. None has a gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.node import Array
from ddp.autograd.ops.broadcast import Operand, combine, operands, require_tensors
from ddp.autograd.ops.reduce import Dim, as_axes
from ddp.autograd.tensor import Tensor, wrap


def logical_and(a: Tensor, b: Tensor) -> Tensor:
    """Where both are not 0."""
    return combine(np.logical_and, a, b)


def logical_or(a: Tensor, b: Tensor) -> Tensor:
    """Where one of them is not 0."""
    return combine(np.logical_or, a, b)


def logical_xor(a: Tensor, b: Tensor) -> Tensor:
    """Where exactly one of them is not 0."""
    return combine(np.logical_xor, a, b)


def logical_not(x: Tensor) -> Tensor:
    """Where x is 0."""
    return wrap(np.logical_not(x.array))


def _bitwise(ufunc: Any, name: str, a: Operand, b: Operand) -> Tensor:
    a, b = operands(a, b)
    if a.array.dtype.kind == "f":
        raise NotImplementedError(f'"{name}_cpu" not implemented for floating tensors')
    return combine(ufunc, a, b)


def bitwise_and(a: Operand, b: Operand) -> Tensor:
    """a & b for bools and integers."""
    return _bitwise(np.bitwise_and, "bitwise_and", a, b)


def bitwise_or(a: Operand, b: Operand) -> Tensor:
    """a | b for bools and integers."""
    return _bitwise(np.bitwise_or, "bitwise_or", a, b)


def bitwise_xor(a: Operand, b: Operand) -> Tensor:
    """a ^ b for bools and integers."""
    return _bitwise(np.bitwise_xor, "bitwise_xor", a, b)


def bitwise_left_shift(a: Operand, b: Operand) -> Tensor:
    """a · 2ᵇ for integers."""
    return _bitwise(np.left_shift, "lshift", a, b)


def bitwise_right_shift(a: Operand, b: Operand) -> Tensor:
    """⌊a / 2ᵇ⌋ for integers."""
    return _bitwise(np.right_shift, "rshift", a, b)


def rbitwise_left_shift(b: Operand, a: Operand) -> Tensor:
    """a << b for a number on the left."""
    return bitwise_left_shift(a, b)


def rbitwise_right_shift(b: Operand, a: Operand) -> Tensor:
    """a >> b for a number on the left."""
    return bitwise_right_shift(a, b)


def isclose(
    a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> Tensor:
    """Where |a - b| ≤ atol + rtol · |b|."""
    require_tensors("isclose", input=a, other=b)
    for name, tolerance in (("rtol", rtol), ("atol", atol)):
        if tolerance < 0:
            raise RuntimeError(f"{name} must be greater than or equal to zero, but got {tolerance}")
    if a.dtype != b.dtype:
        raise RuntimeError(f"{a.dtype} did not match {b.dtype}")
    return wrap(np.isclose(a.array, b.array, rtol, atol, equal_nan))


def allclose(
    a: Tensor, b: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether `isclose` holds everywhere."""
    return bool(isclose(a, b, rtol, atol, equal_nan).array.all())


def equal(a: Tensor, b: Tensor) -> bool:
    """Whether both have the same shape and the same elements."""
    return a.array.shape == b.array.shape and bool((a.array == b.array).all())


def isin(elements: Any, test_elements: Any, *, invert: bool = False) -> Tensor:
    """Where an element is one of `test_elements`."""
    if _array(elements).dtype.kind == "b":
        raise RuntimeError("Unsupported input type encountered for isin(): Bool")
    return wrap(np.isin(_array(elements), _array(test_elements), invert=invert))


def _array(x: Any) -> Array:
    return x.array if isinstance(x, Tensor) else np.asarray(x)


def count_nonzero(x: Tensor, dim: Dim = None) -> Tensor:
    """How many elements are not 0, over all axes or `dim`; int64."""
    return wrap(np.asarray(np.count_nonzero(x.array, axis=as_axes(x, dim)), np.int64))


def is_nonzero(x: Tensor) -> bool:
    """Whether the one element is not 0."""
    return bool(x)


def contains(x: Tensor, element: Any) -> bool:
    """`element in x`."""
    return bool((x.array == _array(element)).any())
