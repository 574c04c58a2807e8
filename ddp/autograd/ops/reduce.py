"""Sums, means and other reductions over all axes or some."""

from __future__ import annotations

import numpy as np

from ddp.autograd.dtypes import DEFAULT_INT
from ddp.autograd.node import Array, Gradients, Node
from ddp.autograd.ops.broadcast import to
from ddp.autograd.tensor import Tensor, wrap

Dim = int | tuple[int, ...] | list[int] | None
Shape = tuple[int, ...]


def as_axes(x: Tensor, dim: Dim) -> tuple[int, ...]:
    """The axes `dim` names, counted from 0; all of them for None or an empty list."""
    if dim is None or dim == () or dim == []:
        return tuple(range(x.array.ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    return tuple([_axis(x, d) for d in dims])


def _axis(x: Tensor, dim: int) -> int:
    rank = max(x.array.ndim, 1)
    if not -rank <= dim < rank:
        raise IndexError(
            f"Dimension out of range (expected to be in range of [{-rank}, {rank - 1}], "
            f"but got {dim})"
        )
    return dim % rank


class _Reduction(Node):
    """A node that spreads its gradient over the axes that were reduced."""

    __slots__ = ("axes", "shape")

    axes: tuple[int, ...]
    shape: Shape

    def over(self, x: Tensor, axes: tuple[int, ...]) -> None:
        """Note what was reduced."""
        self.shape = x.array.shape
        self.axes = axes

    def kept(self, y: Array) -> Array:
        """`y` with the reduced axes back as axes of length 1."""
        return np.reshape(
            y, [1 if i in self.axes else length for i, length in enumerate(self.shape)]
        )

    def count(self) -> int:
        """How many elements went into each result."""
        return int(np.prod([self.shape[i] for i in self.axes], dtype=np.int64))


def sum(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """y = Σ x over `dim`. Integers and bools are summed as int64."""
    if x.array.dtype.kind != "f":
        x = to(x, DEFAULT_INT)
    axes = as_axes(x, dim)
    y = wrap(x.array.sum(axis=axes, keepdims=keepdim))
    node_class = SumBackward0 if dim is None else SumBackward1
    if node := node_class.record(y, x):
        node.over(x, axes)
    return y


class SumBackward0(_Reduction):
    """dx = dy at every element that was summed."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (np.broadcast_to(self.kept(dy), self.shape),)


class SumBackward1(SumBackward0):
    """The same over some axes."""

    __slots__ = ()


def mean(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """y = Σ x / n over `dim`, floating tensors only."""
    if x.array.dtype.kind != "f":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be a floating point dtype. "
            f"Got: {x.dtype}"
        )
    axes = as_axes(x, dim)
    y = wrap(x.array.mean(axis=axes, keepdims=keepdim))
    node_class = MeanBackward0 if dim is None else MeanBackward1
    if node := node_class.record(y, x):
        node.over(x, axes)
    return y


class MeanBackward0(_Reduction):
    """dx = dy / n."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (np.broadcast_to(self.kept(dy) / self.count(), self.shape),)


class MeanBackward1(MeanBackward0):
    """The same over some axes."""

    __slots__ = ()
