"""The same elements in another shape: views where NumPy can give one, joins, splits."""

from __future__ import annotations

from typing import Any

import numpy as np

from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.tensor import Tensor, view_of, wrap

Shape = tuple[int, ...]


def as_shape(sizes: tuple[Any, ...]) -> Shape:
    """`f(2, 3)` and `f((2, 3))` mean the same."""
    if len(sizes) == 1 and isinstance(sizes[0], (tuple, list)):
        return tuple(sizes[0])
    return sizes


def reshape(x: Tensor, *shape: Any) -> Tensor:
    """The elements in C order in a new shape, one entry of which may be -1. A view if possible."""
    target = as_shape(shape)
    try:
        array = x.array.reshape(target)
    except ValueError:
        raise RuntimeError(
            f"shape '{list(target)}' is invalid for input of size {x.array.size}"
        ) from None
    if np.may_share_memory(array, x.array):
        y = view_of(x, array)
        node: _Reshape | None = ViewBackward0.record(y, x)
    else:
        y = wrap(array)
        node = UnsafeViewBackward0.record(y, x)
    if node:
        node.shape = x.array.shape
    return y


class _Reshape(Node):
    """dx = dy in x's shape."""

    __slots__ = ("shape",)

    shape: Shape

    def backward(self, dy: Array) -> Gradients:
        return (dy.reshape(self.shape),)


class ViewBackward0(_Reshape):
    """A reshape that shares memory."""

    __slots__ = ()


class UnsafeViewBackward0(_Reshape):
    """A reshape that had to copy."""

    __slots__ = ()


def view(x: Tensor, *shape: Any) -> Tensor:
    """`reshape`. Memory order is an inner matter of ours, so it copies where it cannot share.

    A convolution's output is channels-last in memory, but contiguous as far as PyTorch's rules
    go: a `view` of it must not fail.
    """
    return reshape(x, *shape)


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The axes from `start_dim` to `end_dim`, both included, as one."""
    if x.array.ndim == 0:
        return reshape(x, (1,))
    start, end = start_dim % x.array.ndim, end_dim % x.array.ndim
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    shape = x.array.shape
    length = int(np.prod(shape[start : end + 1], dtype=np.int64))
    return reshape(x, (*shape[:start], length, *shape[end + 1 :]))


def transpose(x: Tensor, dim0: int, dim1: int) -> Tensor:
    """A view with two axes exchanged."""
    y = view_of(x, x.array.swapaxes(dim0, dim1))
    if node := TransposeBackward0.record(y, x):
        node.dims = (dim0, dim1)
    return y


class TransposeBackward0(Node):
    """dx = dy with the axes exchanged back."""

    __slots__ = ("dims",)

    dims: tuple[int, int]

    def backward(self, dy: Array) -> Gradients:
        return (dy.swapaxes(*self.dims),)


def t(x: Tensor) -> Tensor:
    """The transpose of a matrix; a vector or scalar as it is."""
    if x.array.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {x.ndim}D")
    y = view_of(x, x.array.T)
    TBackward0.record(y, x)
    return y


class TBackward0(Node):
    """dx = dyᵀ."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (dy.T,)


def permute(x: Tensor, *dims: Any) -> Tensor:
    """A view whose axis i is x's axis dims[i]."""
    order = as_shape(dims)
    if sorted(d % max(x.array.ndim, 1) for d in order) != list(range(x.array.ndim)):
        raise RuntimeError(f"permute: {list(order)} is no order of the axes of a {x.ndim}D tensor")
    y = view_of(x, x.array.transpose(order))
    if node := PermuteBackward0.record(y, x):
        node.inverse = tuple(np.argsort([d % x.array.ndim for d in order]).tolist())
    return y


class PermuteBackward0(Node):
    """dx = dy with the axes put back."""

    __slots__ = ("inverse",)

    inverse: tuple[int, ...]

    def backward(self, dy: Array) -> Gradients:
        return (dy.transpose(self.inverse),)
