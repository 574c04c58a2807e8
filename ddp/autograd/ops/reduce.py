"""Sums, means and other reductions over all axes or some."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from ddp.autograd.dtypes import DEFAULT_INT
from ddp.autograd.node import RESULT, Array, Gradients, Node, Saves
from ddp.autograd.ops import select
from ddp.autograd.ops.broadcast import quietly, to
from ddp.autograd.ops.convert import clone
from ddp.autograd.ops.shape import as_axis as as_axis
from ddp.autograd.ops.shape import reshape
from ddp.autograd.tensor import Tensor, wrap

Dim = int | tuple[int, ...] | list[int] | None
Shape = tuple[int, ...]


def as_axes(x: Tensor, dim: Dim) -> tuple[int, ...]:
    """The axes `dim` names, counted from 0; all of them for None or an empty list."""
    if dim is None or dim == () or dim == []:
        return tuple(range(x.array.ndim))
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    axes = tuple([as_axis(x, d) for d in dims])
    if len(set(axes)) < len(axes):
        repeated = next(axis for axis in axes if axes.count(axis) > 1)
        raise RuntimeError(f"dim {repeated} appears multiple times in the list of dims")
    return axes if x.array.ndim else ()


class Reduction(Node):
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
        return y.reshape([1 if i in self.axes else n for i, n in enumerate(self.shape)])

    def count(self) -> int:
        """How many elements went into each result."""
        return math.prod([self.shape[i] for i in self.axes])


def sum(x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """y = Σ x over `dim`, in `dtype` if given. Integers and bools are summed as int64."""
    if dtype is not None:
        x = to(x, dtype)
    elif x.array.dtype.kind != "f":
        x = to(x, DEFAULT_INT)
    axes = as_axes(x, dim)
    y = wrap(_total(x.array, axes, x.array.dtype, None, keepdim))
    node_class = SumBackward0 if dim is None else SumBackward1
    if node := node_class.record(y, x):
        node.over(x, axes)
    return y


_total: Any = np.add.reduce  # as `array.sum`, without the way through NumPy's Python


def sum_to(x: Tensor, shape: Shape) -> Tensor:
    """x summed over the axes along which a tensor of `shape` was broadcast; see `unbroadcast`."""
    if x.array.shape == shape:
        return x
    added = x.array.ndim - len(shape)
    stretched = [added + i for i, n in enumerate(shape) if n == 1 and x.array.shape[added + i] != 1]
    return reshape(sum(x, (*range(added), *stretched)), shape)


class SumBackward0(Reduction):
    """dx = dy at every element that was summed."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (np.broadcast_to(self.kept(dy), self.shape),)


class SumBackward1(SumBackward0):
    """The same over some axes."""

    __slots__ = ()


@quietly
def mean(x: Tensor, dim: Dim = None, keepdim: bool = False, *, dtype: Any = None) -> Tensor:
    """y = Σ x / n over `dim`, in `dtype` if given; floating tensors only."""
    x = x if dtype is None else to(x, dtype)
    if x.array.dtype.kind != "f":
        raise RuntimeError(
            "mean(): could not infer output dtype. Input dtype must be a floating point dtype. "
            f"Got: {x.dtype}"
        )
    axes = as_axes(x, dim)
    count = math.prod([x.array.shape[i] for i in axes])
    y = wrap(x.array.sum(axis=axes, keepdims=keepdim) / x.array.dtype.type(count))
    node_class = MeanBackward0 if dim is None else MeanBackward1
    if node := node_class.record(y, x):
        node.over(x, axes)
    return y


class MeanBackward0(Reduction):
    """dx = dy / n."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        return (np.broadcast_to(self.kept(dy) / self.count(), self.shape),)


class MeanBackward1(MeanBackward0):
    """The same over some axes."""

    __slots__ = ()


class Extremum(NamedTuple):
    """What `max(dim)` and `min(dim)` return."""

    values: Tensor
    indices: Tensor


def max(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; over `dim`, (values, indices); with a tensor, `maximum`."""
    if isinstance(dim, Tensor):
        return select.maximum(x, dim)
    if dim is not None:
        return _along(x, dim, keepdim, np.argmax, MaxBackward0)
    return _extreme(x, None, False, np.max, MaxBackward1)


def min(x: Tensor, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; over `dim`, (values, indices); with a tensor, `minimum`."""
    if isinstance(dim, Tensor):
        return select.minimum(x, dim)
    if dim is not None:
        return _along(x, dim, keepdim, np.argmin, MinBackward0)
    return _extreme(x, None, False, np.min, MinBackward1)


def amax(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The largest elements over one or several axes."""
    return _extreme(x, dim, keepdim, np.max, AmaxBackward0)


def amin(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """The smallest elements over one or several axes."""
    return _extreme(x, dim, keepdim, np.min, AminBackward0)


def _extreme(
    x: Tensor, dim: Dim, keepdim: bool, reduce: Any, node_class: type[AmaxBackward0]
) -> Tensor:
    axes = as_axes(x, dim)
    if x.array.size == 0:
        _require_entries(x, axes, asked=dim is not None)
    y = wrap(reduce(x.array, axis=axes, keepdims=keepdim))
    if node := node_class.record(y, x):
        node.over(x, axes)
        node.save(x, y)
    return y


def _require_entries(x: Tensor, axes: tuple[int, ...], asked: bool) -> None:
    """Nothing is the largest or smallest of nothing."""
    if not asked:
        raise RuntimeError(
            "Expected reduction dim to be specified for input.numel() == 0. Specify the reduction "
            "dim with the 'dim' argument."
        )
    for axis in axes:
        if x.array.ndim and x.array.shape[axis] == 0:
            raise IndexError(f"Expected reduction dim {axis} to have non-zero size.")


class AmaxBackward0(Reduction):
    """dy in equal shares to all elements that equal y."""

    __slots__ = ()
    saves = Saves(self=0, result=RESULT)

    def backward(self, dy: Array) -> Gradients:
        x, y = self.saved
        taken = x == self.kept(y)
        shares = taken.sum(axis=self.axes, keepdims=True).astype(dy.dtype)
        return (taken * (self.kept(dy) / shares),)


class AminBackward0(AmaxBackward0):
    """The same for the smallest."""

    __slots__ = ()


class MaxBackward1(AmaxBackward0):
    """The same over all axes."""

    __slots__ = ()


class MinBackward1(AmaxBackward0):
    """The same for the smallest over all axes."""

    __slots__ = ()


def _along(
    x: Tensor, dim: int, keepdim: bool, argument: Any, node_class: type[MaxBackward0]
) -> Extremum:
    axis = as_axis(x, dim)
    if x.array.ndim == 0:
        return Extremum(clone(x), wrap(np.zeros((), np.int64)))
    _require_entries(x, (axis,), asked=True)
    where = np.expand_dims(argument(x.array, axis=axis), axis)
    values = np.take_along_axis(x.array, where, axis)
    y = wrap(values if keepdim else values.squeeze(axis))
    if node := node_class.record(y, x):
        node.over(x, (axis,))
        node.save(where)
    return Extremum(y, wrap(where if keepdim else where.squeeze(axis)))


class MaxBackward0(Reduction):
    """dy to the first element that equals y, zero to the others."""

    __slots__ = ()

    def backward(self, dy: Array) -> Gradients:
        (where,) = self.saved
        dx = np.zeros(self.shape, dy.dtype)
        np.put_along_axis(dx, where, self.kept(dy), self.axes[0])
        return (dx,)


class MinBackward0(MaxBackward0):
    """The same for the smallest."""

    __slots__ = ()


def argmax(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the (first) largest element, in the flattened tensor or along `dim`; int64."""
    return _place_of(np.argmax, x, dim, keepdim)


def argmin(x: Tensor, dim: int | None = None, keepdim: bool = False) -> Tensor:
    """The index of the (first) smallest element, in the flattened tensor or along `dim`; int64."""
    return _place_of(np.argmin, x, dim, keepdim)


def _place_of(argument: Any, x: Tensor, dim: int | None, keepdim: bool) -> Tensor:
    if x.array.dtype.kind == "b":
        raise RuntimeError(f"{argument.__name__}(): does not support bool input")
    axis = 0 if dim is None else as_axis(x, dim)
    if x.array.ndim == 0 or dim is None:
        if x.array.size == 0:
            raise IndexError("Expected reduction dim to be specified for input.numel() == 0.")
        return wrap(argument(x.array))
    _require_entries(x, (axis,), asked=True)
    return wrap(argument(x.array, axis=axis, keepdims=keepdim))


def all(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether every element is true."""
    return wrap(_truth(x, x.array.all(axis=as_axes(x, dim), keepdims=keepdim)))


def any(x: Tensor, dim: Dim = None, keepdim: bool = False) -> Tensor:
    """Whether some element is true."""
    return wrap(_truth(x, x.array.any(axis=as_axes(x, dim), keepdims=keepdim)))


def _truth(x: Tensor, answer: Any) -> Array:
    """As bools, or as bytes for bytes, which were PyTorch's truth values once."""
    return np.asarray(answer, np.uint8 if x.array.dtype == np.uint8 else np.bool_)
