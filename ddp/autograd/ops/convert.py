"""Copies and conversions: clone, contiguous, to(dtype)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.dtypes import as_dtype
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.broadcast import to as to_dtype
from ddp.autograd.tensor import Tensor, wrap


def clone(x: Tensor) -> Tensor:
    """A copy, in x's memory layout, through which gradients flow."""
    y = wrap(x.array.copy(order="K"))
    CloneBackward0.record(y, x)
    return y


class CloneBackward0(Node):
    """dx = dy."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (dy,)


def contiguous(x: Tensor) -> Tensor:
    """x itself if its memory is told as dense in C order (see `stride`), else a copy that is."""
    if x.is_contiguous():
        return x
    y = wrap(x.array.copy(order="C"))
    CloneBackward0.record(y, x)
    return y


def to(x: Tensor, target: Any) -> Tensor:
    """x in another dtype, or in the dtype of another tensor. The device "cpu" is where x is."""
    if isinstance(target, str) and target == "cpu":
        return x
    return to_dtype(x, target.dtype if isinstance(target, Tensor) else as_dtype(target))


def double(x: Tensor, memory_format: Any = None) -> Tensor:
    """x in float64."""
    return to_dtype(x, np.float64)


def float_(x: Tensor, memory_format: Any = None) -> Tensor:
    """`x.float()`: x in float32."""
    return to_dtype(x, np.float32)


def half(x: Tensor, memory_format: Any = None) -> Tensor:
    """x in float16."""
    return to_dtype(x, np.float16)


def long(x: Tensor, memory_format: Any = None) -> Tensor:
    """x in int64."""
    return to_dtype(x, np.int64)


def int_(x: Tensor, memory_format: Any = None) -> Tensor:
    """`x.int()`: x in int32."""
    return to_dtype(x, np.int32)


def bool_(x: Tensor, memory_format: Any = None) -> Tensor:
    """`x.bool()`: where x is not zero."""
    return to_dtype(x, np.bool_)


def cpu(x: Tensor) -> Tensor:
    """x: there is no other device."""
    return x
