"""Operands of one dtype, and the way back from a broadcast shape."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ddp.autograd.dtypes import (
    NUMBER,
    SCALAR_TENSOR,
    TENSOR,
    Dtype,
    message_name,
    result_type,
    scalar_dtype,
)
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.tensor import Tensor, wrap

# PyTorch computes infinities and NaN without a word; NumPy would warn. The warnings that NumPy
# raises in this library's own lines are not shown. Functions with poles or early overflow do not
# even raise them, whatever filters are set: that costs 0.5 µs. The walk back is quiet as a whole,
# see engine.py.
warnings.filterwarnings("ignore", r".* encountered in ", RuntimeWarning, r"ddp\.autograd\.")
quietly = np.errstate(all="ignore")

Operand = Tensor | Array | bool | int | float


def operands(a: Operand, b: Operand) -> tuple[Tensor, Tensor]:
    """Both operands as tensors of the result's dtype (PyTorch's promotion, see dtypes.py).

    A Python number becomes a 0-d tensor of that dtype. Raises TypeError for anything else.
    """
    if isinstance(a, Tensor):
        if isinstance(b, Tensor):
            if a.array.dtype is b.array.dtype:
                return a, b
        elif type(b) is float and a.array.dtype.kind == "f":
            return a, wrap(np.array(b, a.array.dtype))
    a, a_dtype, a_standing = _describe(a)
    b, b_dtype, b_standing = _describe(b)
    dtype = result_type(a_dtype, a_standing, b_dtype, b_standing)
    return _as_tensor(a, dtype), _as_tensor(b, dtype)


def combine(ufunc: Any, a: Tensor, b: Tensor) -> Tensor:
    """ufunc(a, b), broadcast; RuntimeError in PyTorch's words if the shapes do not fit."""
    try:
        return wrap(ufunc(a.array, b.array))
    except ValueError:
        raise RuntimeError(_mismatch(a.array.shape, b.array.shape)) from None


def _mismatch(a: tuple[int, ...], b: tuple[int, ...]) -> str:
    for back, (m, n) in enumerate(zip(reversed(a), reversed(b), strict=False), 1):
        if m != n and 1 not in (m, n):
            return (
                f"The size of tensor a ({m}) must match the size of tensor b ({n}) at "
                f"non-singleton dimension {max(len(a), len(b)) - back}"
            )
    return f"tensors of shapes {list(a)} and {list(b)} cannot be combined"


def require_tensors(operation: str, **arguments: Any) -> None:
    """TypeError unless every argument, given by PyTorch's name for it, is a tensor."""
    for place, (name, argument) in enumerate(arguments.items(), 1):
        if not isinstance(argument, Tensor):
            raise TypeError(
                f"{operation}(): argument '{name}' (position {place}) must be Tensor, not "
                f"{type(argument).__name__}"
            )


def refuse_bools(kernel: str, x: Tensor) -> None:
    """NotImplementedError in PyTorch's words where it has no kernel for bools."""
    if x.array.dtype.kind == "b":
        raise NotImplementedError(f"\"{kernel}\" not implemented for 'Bool'")


def require_floats(kernel: str, *tensors: Tensor) -> None:
    """NotImplementedError in PyTorch's words where it computes with floating numbers only."""
    for x in tensors:
        if x.array.dtype.kind != "f":
            name = message_name(x.array.dtype)
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{name}'")


def _describe(x: Operand) -> tuple[Operand, Dtype, int]:
    """The operand, its dtype, and its standing in promotion."""
    if isinstance(x, np.generic):
        x = x.item()
    if isinstance(x, np.ndarray):
        x = wrap(x)
    if isinstance(x, Tensor):
        return x, x.dtype, TENSOR if x.ndim else SCALAR_TENSOR
    if isinstance(x, (bool, int, float)):
        return x, scalar_dtype(x), NUMBER
    raise TypeError(f"expected a Tensor or a number, got {type(x).__name__}")


def _as_tensor(x: Operand, dtype: Dtype) -> Tensor:
    return to(x, dtype) if isinstance(x, Tensor) else wrap(number_in(x, dtype))


def number_in(x: Any, dtype: Dtype) -> Array:
    """A number in `dtype`. Whole ones wrap round, as in C (-1 is 255 in uint8), others must fit."""
    try:
        return np.array(x, dtype)
    except OverflowError:
        if isinstance(x, float):
            raise RuntimeError(
                f"value cannot be converted to type {dtype} without overflow"
            ) from None
        return np.array(x).astype(dtype)


def to(x: Tensor, dtype: Any) -> Tensor:
    """`x` in `dtype`; `x` itself when it has it already."""
    dtype = np.dtype(dtype)
    if x.array.dtype == dtype:
        return x
    y = wrap(x.array.astype(dtype))
    if dtype.kind == "f" and (node := ToCopyBackward0.record(y, x)):
        node.dtype = x.array.dtype
    return y


class ToCopyBackward0(Node):
    """dx = dy in x's dtype."""

    __slots__ = ("dtype",)

    dtype: Dtype

    def backward(self, dy: Array) -> Gradients:
        return (dy.astype(self.dtype),)


def unbroadcast(dy: Array, shape: tuple[int, ...]) -> Array:
    """`dy` summed over the axes along which an operand of `shape` was broadcast."""
    if dy.shape == shape:
        return dy
    added = dy.ndim - len(shape)
    stretched = [
        added + i for i, length in enumerate(shape) if length == 1 and dy.shape[added + i] != 1
    ]
    return dy.sum(axis=(*range(added), *stretched)).reshape(shape)
